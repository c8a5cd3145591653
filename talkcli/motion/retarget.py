"""Another face's performance on the avatar: made relative, resampled in time, looped, mixed.

Deviations are transferred: expression from the driver's own neutral face (as trackers and ARKit
recorders give it), pose from one of the driver's poses, see :class:`RetargetSettings`. Expressions
are weights of shapes that every avatar has in its own proportions, and positions are centimetres of
a head of standard size, so neither the proportions nor the resting face of the driver are copied.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count

import numpy as np

from talkcli.errors import UsageError
from talkcli.face.pose import euler_to_rotation
from talkcli.shapes import Float, Float32
from talkcli.types import ARKIT_NAMES, MotionCurves, MotionFrame

#: Shapes taken from speech when both speech and a driver are given.
SPOKEN = np.array(
    [name.startswith(("jaw", "mouth", "tongue")) or name == "cheekPuff" for name in ARKIT_NAMES]
)
#: Blinks and lids that follow the gaze are never scaled: half a blink is no blink.
_UNSCALED = np.array([name.startswith(("eyeBlink", "eyeLook")) for name in ARKIT_NAMES])
_RESTING = np.array(
    [name.startswith(("jaw", "mouth", "brow", "eyeBlink", "eyeWide")) for name in ARKIT_NAMES]
)
_UNREST_DEG = 30.0  # a turn this far from the usual pose counts like one full weight
#: Frames within this sum of weights of the most neutral one are as good; the first is taken.
_REST_SLACK = 0.3
#: Beyond these a portrait tears; motion is limited softly. Degrees and centimetres.
MAX_TURN_DEG = np.array([40.0, 28.0, 35.0])
MAX_SHIFT_CM = np.array([4.0, 2.5, 6.0])
_SOFT_FROM = 0.7  # share of the limit up to which motion is unchanged
#: Share of a head turn that the eyes compensate where the pose is not the driver's own.
_STEADY, _GAZE_LIMIT_DEG = 0.9, 12.0


#: See :class:`RetargetSettings`.
MODES = ("relative", "absolute", "auto")
#: Poses that differ by less than this in every angle are alike, degrees: FaceMesh gives the yaw of
#: one head in pictures of different size and light to 3°.
_ALIKE_DEG = 6.0


@dataclass(frozen=True)
class RetargetSettings:
    """How much of a driver's performance is used.

    Attributes:
        expr_scale: factor on the expression, except blinks.
        pose_scale: factor on head rotation and shift.
        mode: ``relative``: the portrait's pose is that of the driver's first neutral frame;
            ``absolute``: the head turns where the driver's does; ``auto``: the portrait's pose is
            that of the driver's first frame where both are alike, else as ``relative``.
        turned: yaw, pitch, roll of the portrait's own head, degrees.
    """

    expr_scale: float = 1.0
    pose_scale: float = 1.0
    mode: str = MODES[0]
    turned: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        for name in ("expr_scale", "pose_scale"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"{name} is {value}", "give a number of at least 0")
        if self.mode not in MODES:
            raise UsageError(f"there is no driver mode {self.mode}", f"give {' or '.join(MODES)}")


def reference_frame(curves: MotionCurves) -> int:
    """Index of the first neutral frame: mouth, brows and lids at rest, usual pose and gaze."""
    turned = np.abs(curves.rotation - np.median(curves.rotation, axis=0)).sum(1)
    aside = np.abs(curves.gaze - np.median(curves.gaze, axis=0)).sum(1)
    unrest = curves.expression[:, _RESTING].sum(1) + (turned + aside) / _UNREST_DEG
    unrest = unrest + 10.0 * ~curves.tracked
    return int(np.flatnonzero(unrest <= unrest.min() + _REST_SLACK)[0])


class DrivenMotion:
    """A performance as a function of time.

    Beyond its end it plays backwards, then forwards again, and so on, without a seam.

    Args:
        curves: the driving face; at least one frame.
        settings: how much of it is used.
        pose: performance that the head pose is taken from; None for the driver's own.
        start_s: time in the performance at which the motion starts, seconds.
    """

    def __init__(
        self,
        curves: MotionCurves,
        settings: RetargetSettings,
        pose: MotionCurves | None = None,
        *,
        start_s: float = 0.0,
    ) -> None:
        self._curves, self._start_s = curves, start_s
        self._expression = curves.expression.copy()
        scaled = self._expression[:, ~_UNSCALED] * settings.expr_scale
        self._expression[:, ~_UNSCALED] = np.minimum(scaled, 1.0)
        self._poser = curves if pose is None else pose
        self._turned, _ = relative_pose(curves, settings)
        scale = settings.pose_scale
        rotation, translation = (scale * values for values in relative_pose(self._poser, settings))
        if not self._poser.relative:
            rotation = soft_limit(rotation, MAX_TURN_DEG)
            translation = soft_limit(translation, MAX_SHIFT_CM)
        self._rotation, self._translation = rotation, translation

    def at(self, time_s: float) -> MotionFrame:
        """The motion at a time in seconds, interpolated linearly between frames."""
        place = _Place.of(self._curves, time_s)
        posed = _Place.of(self._poser, time_s)
        rotation = posed.pick(self._rotation)
        # Where the head turns differently from the driver's, the eyes still aim where those do.
        unturned = (place.pick(self._turned) - rotation)[:2]
        return MotionFrame(
            expression=place.pick(self._expression),
            rotation=rotation,
            translation=posed.pick(self._translation),
            gaze=place.pick(self._curves.gaze) + np.float32(_STEADY) * unturned,
        )

    def frames(self, n_frames: int | None, fps: Fraction) -> Iterator[MotionFrame]:
        """Frame ``i`` at ``(i + 0.5) / fps`` seconds; None for frames without end."""
        for index in count() if n_frames is None else range(n_frames):
            yield self.at(max(0.0, float((index + Fraction(1, 2)) / fps) + self._start_s))


def lips_from(
    speech: Iterator[MotionFrame], driven: Iterator[MotionFrame]
) -> Iterator[MotionFrame]:
    """Lips and sound of ``speech``, everything else of ``driven``; ends with the shorter one."""
    for spoken, seen in zip(speech, driven, strict=False):
        expression = np.where(SPOKEN, spoken.expression, seen.expression).astype(np.float32)
        yield MotionFrame(expression, seen.rotation, seen.translation, seen.gaze, spoken.speech)


def pose_from(motion: Iterator[MotionFrame], posed: Iterator[MotionFrame]) -> Iterator[MotionFrame]:
    """Head pose of ``posed``, the rest of ``motion``, whose own head is still.

    The eyes compensate most of the head's turning, as real ones do.
    """
    for frame, pose in zip(motion, posed, strict=False):
        gaze = steady_gaze(frame.gaze, pose.rotation)
        yield MotionFrame(frame.expression, pose.rotation, pose.translation, gaze, frame.speech)


def steady_gaze(
    gaze: Float[np.ndarray, " 2"], rotation: Float[np.ndarray, " 3"]
) -> Float32[np.ndarray, " 2"]:
    """Eye angles in the head for a gaze in the room and a head turn, all in degrees."""
    turned = gaze - _STEADY * rotation[:2]
    return np.clip(turned, -_GAZE_LIMIT_DEG, _GAZE_LIMIT_DEG).astype(np.float32)


def relative_pose(
    curves: MotionCurves, settings: RetargetSettings
) -> tuple[Float[np.ndarray, "frames 3"], Float[np.ndarray, "frames 3"]]:
    """Rotation (degrees) and shift (cm) relative to the portrait's pose, if not yet relative.

    Angles are differences of yaw, pitch and roll, so that a nod of a turned head remains a nod. The
    shift is in the head frame of that pose, from the driver's place in the same frame, or in its
    first one in absolute mode: nothing tells where in its picture the driver is at home.

    Args:
        curves: the performance.
        settings: which of its poses the portrait has.
    """
    if curves.relative:
        return curves.rotation, curves.translation
    own = np.array(settings.turned)
    away = (curves.rotation[0] - own + 180.0) % 360.0 - 180.0
    alike = bool(curves.tracked[0]) and float(np.abs(away).max()) < _ALIKE_DEG
    first = settings.mode == "absolute" or (settings.mode == "auto" and alike)
    index = 0 if first else reference_frame(curves)
    from_pose = own if settings.mode == "absolute" else curves.rotation[index]
    return _away_from(curves, from_pose, curves.translation[index])


def relative_to(curves: MotionCurves, index: int) -> MotionCurves:
    """A performance for the avatar of one of its own frames, whose pose is therefore known.

    Args:
        curves: the performance.
        index: the frame that the avatar was made from.
    """
    pose, place = curves.rotation[index], curves.translation[index]
    rotation, translation = _away_from(curves, pose, place)
    return replace(
        curves,
        rotation=soft_limit(rotation, MAX_TURN_DEG),
        translation=soft_limit(translation, MAX_SHIFT_CM),
        relative=True,
    )


def _away_from(
    curves: MotionCurves, pose: np.ndarray, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rotation from a pose, and the shift from a place in the head frame of that pose."""
    rotation = (curves.rotation - pose + 180.0) % 360.0 - 180.0
    return rotation, (curves.translation - place) @ euler_to_rotation(*pose)


def soft_limit(
    values: Float[np.ndarray, "*frames axes"], limit: Float[np.ndarray, " axes"]
) -> Float32[np.ndarray, "*frames axes"]:
    """Values limited softly in size; below 0.7 of the limit they are unchanged."""
    knee = _SOFT_FROM * limit
    room = limit - knee
    beyond = np.maximum(np.abs(values) - knee, 0.0)
    size = np.minimum(np.abs(values), knee) + room * np.tanh(beyond / room)
    return (np.sign(values) * size).astype(np.float32)


@dataclass(frozen=True)
class _Place:
    """The frames around a time, and how far it is between them."""

    before: int
    after: int
    share: float

    @staticmethod
    def of(curves: MotionCurves, time_s: float) -> _Place:
        times = curves.times
        length = max(curves.duration_s, 1e-6)
        turns, rest = divmod(time_s, length)
        inside = length - rest if int(turns) % 2 else rest
        after = int(np.searchsorted(times, inside))
        if after in (0, len(times)):
            edge = min(after, len(times) - 1)
            return _Place(edge, edge, 0.0)
        share = (inside - times[after - 1]) / max(times[after] - times[after - 1], 1e-9)
        return _Place(after - 1, after, float(share))

    def pick(self, values: np.ndarray) -> np.ndarray:
        """The interpolated row of ``values [frames, ...]``."""
        row = values[self.before] + self.share * (values[self.after] - values[self.before])
        return row.astype(np.float32)
