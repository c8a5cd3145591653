"""Pictures for a report: the worst frames of a video and some in between, made beside real."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from talkcli.face.measures import face_height
from talkcli.face.topology import FACE_OVAL
from talkcli.metrics.pair import FramePair
from talkcli.metrics.result import Metric

#: How many of the worst frames are shown, and how many spread over the video.
WORST, SPREAD = 6, 6
#: Worst frames are at least this far apart, seconds: neighbours look the same.
_APART_S = 0.3
#: Side of a picture, pixels, and of what it shows, face heights.
_SIDE, _SHOWN_FH = 224, 2.0
#: Differences are shown this much larger.
_GAIN = 3.0
_QUALITY = 82


@dataclass(frozen=True)
class Shot:
    """One instant, made beside real.

    Attributes:
        time_s: of the made video.
        error: mean absolute difference in the face (in the frame without one), grey levels.
        made: JPEG.
        real: JPEG.
        difference: JPEG, three times the absolute difference.
    """

    time_s: float
    error: float
    made: bytes
    real: bytes
    difference: bytes


class Gallery:
    """Collects shots while pairs stream by.

    Args:
        pairs: how many pairs there will be.
    """

    def __init__(self, pairs: int) -> None:
        self._wanted = set(np.linspace(0, max(0, pairs - 1), SPREAD).round().astype(int).tolist())
        self.spread: list[Shot] = []
        self._worst: list[Shot] = []

    def add(self, pair: FramePair) -> None:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        difference = cv2.absdiff(pair.made, pair.real)
        face = pair.regions.get("face")
        inside = difference if face is None or not face.any() else difference[face]
        error = float(inside.mean())
        wanted = pair.index in self._wanted
        near = [shot for shot in self._worst if abs(shot.time_s - pair.time_s) < _APART_S]
        # A worse frame takes the place of its neighbours, else that of the best of the worst.
        bad = len(self._worst) < WORST or error > min(shot.error for shot in self._worst)
        bad = bad and all(error > shot.error for shot in near)
        if not wanted and not bad:
            return
        shot = _shot(pair, difference, error)
        if wanted:
            self.spread.append(shot)
        if bad:
            kept = [other for other in self._worst if other not in near]
            self._worst = sorted([*kept, shot], key=lambda one: -one.error)[:WORST]

    @property
    def worst(self) -> list[Shot]:
        """The worst frames, the worst first."""
        return self._worst

    def finish(self) -> list[Metric]:
        """See :class:`talkcli.metrics.pair.PairMetric`; pictures are no figures."""
        return []


def _shot(pair: FramePair, difference: np.ndarray, error: float) -> Shot:
    rows, columns = _window(pair)
    larger = cv2.convertScaleAbs(difference[rows, columns], alpha=_GAIN)
    pictures = (pair.made[rows, columns], pair.real[rows, columns], larger)
    return Shot(pair.time_s, error, *(_jpeg(picture) for picture in pictures))


def _window(pair: FramePair) -> tuple[slice, slice]:
    """The square around the head, cut at the edges of the picture; all of it without a face."""
    height, width = pair.real.shape[:2]
    points = pair.real_points
    if points is None:
        return slice(0, height), slice(0, width)
    x, y = points[list(FACE_OVAL), :2].mean(0)
    half = 0.5 * _SHOWN_FH * float(face_height(points))
    top, left = (int(np.clip(v - half, 0, n - 2)) for v, n in ((y, height), (x, width)))
    bottom, right = (int(np.clip(v + half, 2, n)) for v, n in ((y, height), (x, width)))
    return slice(top, max(bottom, top + 2)), slice(left, max(right, left + 2))


def _jpeg(picture: np.ndarray) -> bytes:
    height, width = picture.shape[:2]
    scale = _SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(np.ascontiguousarray(picture), size, interpolation=way)
    encoded, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert encoded
    return bytes(data)
