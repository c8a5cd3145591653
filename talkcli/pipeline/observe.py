"""Watch and listen to one video: the curves that metrics without a reference need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from talkcli.config import Recipe
from talkcli.face.alignment import PICTURE_DEPTH, align_heads
from talkcli.face.measures import face_height, lip_aperture, lip_width
from talkcli.face.model import FaceModel
from talkcli.face.topology import CHIN_TIP
from talkcli.metrics.observed import HEARD_HZ, Heard, Observed
from talkcli.pipeline.stages.inputs import Clip
from talkcli.pipeline.stages.landmarks import MeasuredClip, measure_clips
from talkcli.progress import Reporter, Stopwatch
from talkcli.tracking.clip import solve_spool

if TYPE_CHECKING:
    from talkcli.tracking.person import Person
    from talkcli.tracking.spool import LandmarkSpool

#: Frames whose landmarks are in memory at the same time.
_WINDOW = 256
#: Speech rows are zero in pauses between words, too; a pause shorter than this is still speech.
_PAUSE_S = 0.3
#: The shoulders: from and to these distances below the chin, and to both sides, face heights.
_FROM_FH, _TO_FH, _ASIDE_FH = 0.3, 1.1, 1.1
#: Least height of what is seen of them, face heights, and the height at which it is compared.
_LEAST_FH, _SHOULDER_PX = 0.2, 48
#: Mean face height, cm: the unit of the face model.
_FACE_CM = 17.7


class FrameWatcher(Protocol):
    """Something that sees every frame of a video once, in order."""

    def begin(self, face_px: float) -> None:
        """Prepare for a video in which the face is usually so high, pixels."""

    def see(self, index: int, rgb: np.ndarray, points: np.ndarray | None) -> None:
        """Look at a frame.

        Args:
            index: its number, from 0.
            rgb: ``[H, W, 3]`` uint8, sRGB.
            points: ``[478, 3]`` landmarks in its pixels, or None without a face.
        """


def observe(
    clip: Clip,
    recipe: Recipe,
    reporter: Reporter,
    watch: Stopwatch,
    watchers: Sequence[FrameWatcher] = (),
) -> Observed:
    """Track the face in a video, listen to its sound, and show its frames to some watchers.

    Landmarks are reused from the cache. Memory grows by the curves alone, half a kilobyte a frame.

    Args:
        clip: the video.
        recipe: its ``tracking`` settings and ``motion.speech_model`` apply.
        reporter: receives progress and warnings.
        watch: receives the seconds of ``track``, ``solve`` and ``frames``.
        watchers: see every frame once, in order.

    Raises:
        InputError: not a video, or no face in it.
        MissingDependencyError: the requested landmark network is not available.
    """
    (measured,) = measure_clips((clip,), recipe, reporter, watch)
    with measured.spool as spool:
        with watch.measure("solve"):
            person, curves = solve_spool(spool, FaceModel.load())
            aperture, width = lips_of(spool, person)
            heard = listen(clip, person, recipe.motion.speech_model)
        shoulders = ShoulderSpeed(spool)
        with watch.measure("frames"):
            _show(measured, [shoulders, *watchers])
    return Observed(curves, aperture, width, shoulders.cm_per_s, heard)


def listen(clip: Clip, person: Person, speech_model: str) -> Heard | None:
    """What the speech network hears in a video, as an opening of this person's lips.

    Args:
        clip: the video.
        person: whose shapes turn weights into centimetres.
        speech_model: one of ``talkcli.speech.model.WEIGHTS``.

    Returns:
        None for a silent file.
    """
    from talkcli.media.audio import open_sound
    from talkcli.speech.features import SAMPLE_RATE
    from talkcli.speech.track import SpeechTrack

    if not clip.info.has_audio:
        return None
    opening = lip_aperture(person.basis)
    aperture: list[float] = []
    sounding: list[bool] = []
    with open_sound(clip.path) as sound:
        blocks = _Counted(sound.blocks(SAMPLE_RATE))
        track = SpeechTrack(blocks, speech_model)
        while not blocks.ended or len(aperture) < blocks.samples * HEARD_HZ / SAMPLE_RATE:
            weights = track.at(len(aperture) / HEARD_HZ).weights
            aperture.append(float(weights @ opening))
            sounding.append(bool(weights.any()))
        late = round(sound.start_s * HEARD_HZ)
    silent = ~_bridged(np.array(sounding, bool), _PAUSE_S * HEARD_HZ)
    # The sound may begin before the picture or after it.
    before = max(0, late)
    return Heard(
        np.concatenate([np.zeros(before), aperture])[max(0, -late) :],
        np.concatenate([np.ones(before, bool), silent])[max(0, -late) :],
    )


class _Counted:
    """Blocks of sound, and how much of it has passed."""

    def __init__(self, blocks: Iterable[np.ndarray]) -> None:
        self._blocks = blocks
        self.samples = 0
        self.ended = False

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self._blocks:
            self.samples += len(block)
            yield block
        self.ended = True


def _bridged(flags: np.ndarray, longest: float) -> np.ndarray:
    """True values, and the gaps of at most ``longest`` values between them."""
    filled = flags.copy()
    places = np.flatnonzero(flags)
    for before, after in pairwise(places):
        if 1 < after - before <= longest:
            filled[before:after] = True
    return filled


def lips_of(spool: LandmarkSpool, person: Person) -> tuple[np.ndarray, np.ndarray]:
    """``[n]`` opening and width of the lips relative to the neutral ones, cm; filled where lost."""
    rest = float(lip_aperture(person.neutral)), float(lip_width(person.neutral))
    rows = np.full((len(spool), 2), np.nan)
    indices: list[int] = []
    points: list[np.ndarray] = []

    def measure() -> None:
        head = align_heads(np.array(points), person.rigid, PICTURE_DEPTH).points
        rows[indices] = np.stack([lip_aperture(head) - rest[0], lip_width(head) - rest[1]], 1)
        indices.clear()
        points.clear()

    for index, frame in enumerate(spool):
        if frame.points is not None:
            indices.append(index)
            points.append(frame.points)
        if len(points) == _WINDOW:
            measure()
    if points:
        measure()
    there = np.flatnonzero(np.isfinite(rows[:, 0]))
    places = np.arange(len(rows))
    aperture, width = (np.interp(places, there, rows[there, k]) for k in range(2))
    return aperture, width


def _show(measured: MeasuredClip, watchers: Sequence[FrameWatcher]) -> None:
    face_px = float(np.median([face_height(points) for points in measured.spool.sample(64)]))
    for watcher in watchers:
        watcher.begin(face_px)
    for index, rgb in enumerate(measured.frames()):
        if index >= len(measured.spool):
            break
        points = measured.spool.points(index)
        for watcher in watchers:
            watcher.see(index, rgb, points)


def _even_fast_width(width: int) -> int:
    """The next width whose picture OpenCV transforms without a border.

    With a border, and with odd sizes, its phase correlation is off by half a pixel.
    """
    width = max(8, width)
    while cv2.getOptimalDFTSize(width) != width or width % 2:
        width += 1
    return width


class ShoulderSpeed:
    """How fast the picture below the chin moves, by the phase correlation of successive frames.

    Args:
        spool: the landmarks of the video, from which the place of the shoulders is taken.
    """

    def __init__(self, spool: LandmarkSpool) -> None:
        self._times = spool.middles
        self._height = 1.0
        self._chin = np.median(spool.sample(64)[:, CHIN_TIP, :2], axis=0)
        self._last: np.ndarray | None = None
        self._window: np.ndarray | None = None
        self.cm_per_s = np.full(len(spool), np.nan)

    def begin(self, face_px: float) -> None:
        """See :class:`FrameWatcher`."""
        self._height = face_px

    def see(self, index: int, rgb: np.ndarray, points: np.ndarray | None) -> None:
        """See :class:`FrameWatcher`."""
        x, y = self._chin
        top, bottom = (round(y + share * self._height) for share in (_FROM_FH, _TO_FH))
        left, right = (round(x + side * _ASIDE_FH * self._height) for side in (-1, 1))
        part = rgb[max(0, top) : bottom, max(0, left) : right]
        if part.shape[0] < _LEAST_FH * self._height or part.shape[1] < self._height:
            return
        grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
        width = _even_fast_width(round(part.shape[1] * _SHOULDER_PX / part.shape[0]))
        small = cv2.resize(grey, (width, _SHOULDER_PX), interpolation=cv2.INTER_AREA)
        small = small.astype(np.float32)
        if self._window is None or self._window.shape != small.shape:
            self._window = cv2.createHanningWindow((width, _SHOULDER_PX), cv2.CV_32F)
            self._last = None  # a few containers change their size
        if self._last is not None and index > 0:
            (x_px, y_px), _ = cv2.phaseCorrelate(self._last, small, self._window)
            step = max(float(self._times[index] - self._times[index - 1]), 1e-3)
            across = x_px * part.shape[1] / width, y_px * part.shape[0] / _SHOULDER_PX
            self.cm_per_s[index] = float(np.hypot(*across)) / self._height * _FACE_CM / step
        self._last = small
