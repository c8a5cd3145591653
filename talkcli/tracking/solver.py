"""Pose, expression and gaze of a known person, solved in overlapping windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from talkcli.face.alignment import PICTURE_DEPTH, AlignedHeads, align_heads
from talkcli.face.measures import iris_angles, lid_opening
from talkcli.face.pose import NECK_PIVOT, euler_to_rotation, rotation_to_euler
from talkcli.face.solve import ShapeFit, bounded_ridge, whole_face_weights
from talkcli.tracking.gaps import FilledFrame
from talkcli.tracking.person import Person
from talkcli.tracking.smooth import keep_edges, smooth_motion
from talkcli.types import ARKIT_NAMES, MotionCurves

#: Frames that a window solves, and how many more it sees on either side. Frames further away change
#: a weight by less than 1e-3.
CORE, MARGIN = 128, 16
#: cm², per weight. At 1, rolled lips compete with lowered ones for 0.2 % of the motion.
RIDGE = 1.5
#: cm², between frames. Removes a third of the jitter and 0.1 % of the explained motion.
COUPLING = 1.0
_SWEEPS = 30  # from the unbounded solution
#: Camera distance, as in portraits: 6 face heights of 17.7 cm.
CAMERA_CM = 106.0
#: How quickly a head may change its motion: degrees, centimetres and logarithm of scale per s^1.5.
#: A quick turn of the head reaches about these; at a third of them, turns lag and PSNR drops .2 dB.
_AGILITY = np.array([180.0, 180.0, 140.0, 45.0, 45.0, 0.36])
_SHUT = 0.08  # of the usual lid opening, which FaceMesh still sees between closed lids
#: Closures between which closing lids become shut ones: openings of 45 and 15 %. In 120 frames of
#: 19 clips, eyes that FaceMesh sees up to 12 % open are shut, from 12 to 30 % some are shut and
#: some are slits, and above 45 % none is shut.
_CLOSING, _CLOSED = 0.6, 0.92
_GAZE_FULL_DEG = 30.0  # ARKit's eyeLook weights are 1 about here
_BLINKING = 0.55  # lids closed this far hide the iris
_HIDDEN_YAW_DEG = (22.0, 40.0)  # over this range, the far eye's lids count less and less
_GAZE_REACH, _GAZE_UNLIKE_DEG = 2, 3.0

_INDEX = {name: i for i, name in enumerate(ARKIT_NAMES)}
_SIDES = ("Left", "Right")
_LOOKS = [_INDEX[f"eyeLook{way}{side}"] for way in ("In", "Out", "Up", "Down") for side in _SIDES]


@dataclass(frozen=True)
class PoseScale:
    """The reference for the head positions of a clip.

    Attributes:
        place: ``[2]`` usual position of the head frame's origin, pixels.
        scale: usual pixels per centimetre.
        noise: ``[6]`` noise of yaw, pitch, roll (degrees), x, y (cm) and the logarithm of scale.
        step_s: usual time between frames.
    """

    place: np.ndarray
    scale: float
    noise: np.ndarray
    step_s: float

    def with_noise(self, noise: np.ndarray) -> PoseScale:
        """A copy with measured noise."""
        return replace(self, noise=noise)

    def pose_of(self, points: np.ndarray, person: Person) -> np.ndarray:
        """``[T, 6]`` raw pose of landmarks ``[T, 478, 3]``, in the order of ``noise``."""
        return self.pose(align_heads(points, person.rigid, PICTURE_DEPTH))

    def pose(self, heads: AlignedHeads) -> np.ndarray:
        """``[T, 6]`` raw pose, in the order of ``noise``."""
        angles = np.array([rotation_to_euler(rotation) for rotation in heads.rotations])
        way = (heads.shifts[:, :2] - self.place) / heads.scales[:, None] * (1.0, -1.0)
        return np.concatenate([angles, way, np.log(heads.scales / self.scale)[:, None]], 1)


class PerformanceSolver:
    """Turns landmarks of a known person into curves.

    Args:
        person: identity.
        scale: the reference for positions.
    """

    def __init__(self, person: Person, scale: PoseScale) -> None:
        self._person, self._scale = person, scale
        basis = person.basis.copy()
        # Gaze is measured on the irises, not on the lids.
        self._looks = basis[_LOOKS]
        basis[_LOOKS] = 0.0
        self._fit = ShapeFit(basis, whole_face_weights())
        self._unbounded = np.linalg.inv(self._fit.gram + RIDGE * np.eye(len(basis)))
        self._openings = lid_opening(person.basis)  # [52, 2] of every shape at weight 1
        self._usual = np.maximum(lid_opening(person.neutral), 0.2)

    def solve(self, frames: Iterator[FilledFrame]) -> Iterator[MotionCurves]:
        """Solve the curves of all frames, in order; every frame is in exactly one of the pieces."""
        window: list[FilledFrame] = []
        first = 0  # index in the window of the first frame not yet solved
        for frame in frames:
            window.append(frame)
            if len(window) - first == CORE + MARGIN:
                yield self._solve(window, first, first + CORE)
                first += CORE
                cut = max(0, first - MARGIN)
                window, first = window[cut:], first - cut
        if first < len(window):
            yield self._solve(window, first, len(window))

    def _solve(self, window: list[FilledFrame], first: int, end: int) -> MotionCurves:
        times = np.array([frame.time_s for frame in window])
        points = np.array([frame.points for frame in window])
        heads = align_heads(points, self._person.rigid, PICTURE_DEPTH)
        pose = smooth_motion(times, self._scale.pose(heads), self._scale.noise, _AGILITY)
        closure = self._lid_closure(heads.points, pose[:, 0])
        gaze = self._gaze(heads.points, closure)
        weights = self._weights(heads.points, gaze, closure)
        inside = slice(first, end)
        return MotionCurves(
            times=times[inside],
            expression=weights[inside].astype(np.float32),
            rotation=pose[inside, :3].astype(np.float32),
            translation=self._pivot_way(pose)[inside].astype(np.float32),
            gaze=gaze[inside].astype(np.float32),
            tracked=np.array([frame.tracked for frame in window[inside]]),
            duration_s=float(times[end - 1]),
        )

    def _pivot_way(self, pose: np.ndarray) -> np.ndarray:
        """``[T, 3]`` travel of the neck's pivot from the usual origin of the head, cm, camera axes.

        Nearer heads look larger: a pinhole ``CAMERA_CM`` away sees a scale of 1 + z / CAMERA_CM.
        """
        depth = CAMERA_CM * (1.0 - np.exp(-pose[:, 5]))
        origin = np.concatenate([pose[:, 3:5], depth[:, None]], 1)
        turned = np.array([euler_to_rotation(*angles) @ NECK_PIVOT for angles in pose[:, :3]])
        return np.asarray(origin + turned - NECK_PIVOT)

    def _lid_closure(self, points: np.ndarray, yaw: np.ndarray) -> np.ndarray:
        """``[T, 2]`` closure of the left and right lids: 0 as usual, 1 shut, below 0 wide open."""
        closure = (1.0 - lid_opening(points) / self._usual) / (1.0 - _SHUT)
        # A turned face hides the eye on the side to which it turns.
        start, end = _HIDDEN_YAW_DEG
        for side, sign in ((0, 1.0), (1, -1.0)):
            hidden = np.clip((sign * yaw - start) / (end - start), 0.0, 1.0)
            closure[:, side] += hidden * (closure[:, 1 - side] - closure[:, side])
        return np.asarray(closure)

    def _gaze(self, points: np.ndarray, closure: np.ndarray) -> np.ndarray:
        """``[T, 2]`` gaze relative to the neutral gaze, degrees, interpolated across blinks."""
        raw = iris_angles(points) - self._person.gaze
        seen = np.flatnonzero(closure.max(1) < _BLINKING)
        if len(seen) == 0:
            return np.zeros_like(raw)
        frames = np.arange(len(raw))
        bridged = np.stack([np.interp(frames, seen, raw[seen, k]) for k in range(2)], 1)
        return keep_edges(bridged, _GAZE_REACH, _GAZE_UNLIKE_DEG)

    def _weights(self, points: np.ndarray, gaze: np.ndarray, closure: np.ndarray) -> np.ndarray:
        looks = _look_weights(gaze)
        shift = points - self._person.neutral
        shift = shift - np.einsum("tk,kvd->tvd", looks, self._looks)
        targets = self._fit.targets(shift)
        start = targets @ self._unbounded
        weights = bounded_ridge(
            self._fit.gram, targets, RIDGE, coupling=COUPLING, start=start, sweeps=_SWEEPS
        )
        weights[:, _LOOKS] = looks
        self._settle_lids(weights, closure)
        return weights

    def _settle_lids(self, weights: np.ndarray, closure: np.ndarray) -> None:
        """Set the blink and wide-open weights that, with all other shapes, give the opening."""
        blinks = [_INDEX[f"eyeBlink{side}"] for side in _SIDES]
        wides = [_INDEX[f"eyeWide{side}"] for side in _SIDES]
        weights[:, blinks + wides] = 0.0
        others = weights @ self._openings
        for side, (blink, wide) in enumerate(zip(blinks, wides, strict=True)):
            # Change of opening still to be made, negative to close.
            wanted = -np.minimum(closure[:, side], 1.0) * self._usual[side] - others[:, side]
            shut = min(self._openings[blink, side], -1e-3)
            open_up = max(self._openings[wide, side], 1e-3)
            weights[:, blink] = shut_lids(np.clip(wanted / shut, 0.0, 1.0), closure[:, side])
            weights[:, wide] = np.clip(wanted / open_up, 0.0, 1.0)


def shut_lids(blink: np.ndarray, closure: np.ndarray) -> np.ndarray:
    """``[T]`` blink weights that are 1 where lids are shut, regardless of squint and gaze.

    Args:
        blink: ``[T]`` weights that give the measured opening.
        closure: ``[T]`` measured closure, 1 if shut.
    """
    shut = np.clip((closure - _CLOSING) / (_CLOSED - _CLOSING), 0.0, 1.0)
    return np.asarray(blink + shut**2 * (1.0 - blink))


def _look_weights(gaze: np.ndarray) -> np.ndarray:
    """``[T, 8]`` eyeLook weights in the order of ``_LOOKS`` for gaze yaw and pitch in degrees."""
    left, up = gaze[:, 0] / _GAZE_FULL_DEG, gaze[:, 1] / _GAZE_FULL_DEG
    # When looking to the subject's left, the left eye looks out and the right eye in.
    columns = (-left, left, left, -left, up, up, -up, -up)
    return np.clip(np.stack(columns, 1), 0.0, 1.0)
