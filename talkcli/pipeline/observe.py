"""Watch and listen to one video: the curves that metrics without a reference need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np

from talkcli.config import Recipe
from talkcli.face.measures import face_height
from talkcli.face.model import FaceModel
from talkcli.face.topology import CHIN_TIP
from talkcli.metrics.observed import Observed
from talkcli.pipeline.stages.heard import listen
from talkcli.pipeline.stages.inputs import Clip
from talkcli.pipeline.stages.landmarks import MeasuredClip, measure_clips
from talkcli.progress import Reporter, Stopwatch
from talkcli.tracking.clip import solve_spool
from talkcli.tracking.lips import lips_of
from talkcli.tracking.spool import LandmarkSpool

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
