"""Where faces may be in a picture: MediaPipe's two detectors, on the whole picture and on tiles.

The detectors reduce their input to 192 pixels (long range) or 128 (short range), so faces below
about a tenth of the longer side are missed in the whole picture. Tiles bring any face to a size
that the short-range detector finds.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np

from talkcli.weights.mediapipe import mediapipe_solutions

#: Held while a network that several threads share looks at a picture: it keeps what it found in
#: itself until it is read.
ONE_AT_A_TIME = threading.Lock()
_SHORT_RANGE, _LONG_RANGE = 0, 1
_TILE_PX = 128
#: The short-range detector found faces of 18 pixels in 100 % of 64 tries (32 portraits, two
#: backgrounds), of 16 in 95 %, of 14 in 69 %. The long-range one does equally well from 20 pixels,
#: but takes 7 ms instead of 2.3 for twice the area.
_FACE_IN_TILE_PX = 17.5
#: Tiles overlap by one and a half faces, so that every face and its surroundings lie in one tile.
_OVERLAP_PX = 26
#: Largest tile relative to the longer side: larger ones show hardly more detail than the picture.
_LARGEST_TILE = 0.75
#: Tiles with fewer grey levels than this between their darkest and brightest parts contain no face.
_FLAT = 24
#: Least score in a tile. Every face of 18 pixels reaches it; half of the false finds do not.
_LEAST_SCORE = 0.5
#: Smallest face, forehead to chin, that tiles are meant to find.
_SMALLEST_FACE_PX = 64
#: Side of the square around a find, in heights of its box.
_SQUARE_PER_BOX = 2.2


class Square(NamedTuple):
    """A square of a picture, in its pixels; it may extend beyond the edge."""

    x0: float
    y0: float
    side: float


def detect_squares(rgb: np.ndarray) -> list[Square]:
    """Find squares around faces with the long-range and the short-range detector.

    Args:
        rgb: ``[H, W, 3]`` uint8, sRGB, sides below 32,767 pixels.

    Raises:
        MissingDependencyError: MediaPipe cannot be imported.
    """
    finds = [find for model in (_LONG_RANGE, _SHORT_RANGE) for find in _finds(model, rgb)]
    return [square for square, _ in finds if square.side > 8]


def detect_in_tiles(rgb: np.ndarray) -> list[Square]:
    """Find squares around faces in tiles of several sizes, each face once, largest first.

    Args:
        rgb: ``[H, W, 3]`` uint8, sRGB, sides below 32,767 pixels.

    Raises:
        MissingDependencyError: MediaPipe cannot be imported.
    """
    height, width = rgb.shape[:2]
    finds: list[tuple[Square, float]] = []
    side = _TILE_PX * _SMALLEST_FACE_PX / _FACE_IN_TILE_PX
    while side <= _LARGEST_TILE * max(height, width):
        scale = _TILE_PX / side
        shown = max(1, round(width * scale)), max(1, round(height * scale))
        level = cv2.resize(rgb, shown, interpolation=cv2.INTER_AREA)
        for x, y in _corners(level):
            tile = np.ascontiguousarray(level[y : y + _TILE_PX, x : x + _TILE_PX])
            if np.ptp(tile) < _FLAT:
                continue
            for (x0, y0, size), score in _finds(_SHORT_RANGE, tile):
                if score >= _LEAST_SCORE:
                    finds.append((Square((x + x0) / scale, (y + y0) / scale, size / scale), score))
        side *= 2
    best: list[Square] = []
    for square, _ in sorted(finds, key=lambda find: -find[1]):
        if not any(_same_square(square, other) for other in best):
            best.append(square)
    return sorted(best, key=lambda square: -square.side)


def _corners(level: np.ndarray) -> Iterator[tuple[int, int]]:
    """Upper left corners of tiles that evenly cover a picture."""
    starts = []
    for length in (level.shape[1], level.shape[0]):
        count = max(1, math.ceil((length - _OVERLAP_PX) / (_TILE_PX - _OVERLAP_PX)))
        starts.append(np.linspace(0, max(0, length - _TILE_PX), count).round().astype(int))
    yield from ((int(x), int(y)) for y in starts[1] for x in starts[0])


def _finds(model: int, rgb: np.ndarray) -> Iterator[tuple[Square, float]]:
    """Squares around the faces that one detector finds, and their scores."""
    height, width = rgb.shape[:2]
    with ONE_AT_A_TIME:
        found = _face_detector(model).process(rgb).detections
    for find in found or []:
        box = find.location_data.relative_bounding_box
        centre_x = (box.xmin + box.width / 2) * width
        centre_y = (box.ymin + box.height / 2) * height
        side = _SQUARE_PER_BOX * max(box.width * width, box.height * height)
        yield Square(centre_x - side / 2, centre_y - side / 2, side), find.score[0]


def _same_square(a: Square, b: Square) -> bool:
    """Whether two squares show the same face: their centres are less than half a face apart."""
    way = math.hypot(a.x0 + a.side / 2 - b.x0 - b.side / 2, a.y0 + a.side / 2 - b.y0 - b.side / 2)
    return way < 0.5 * min(a.side, b.side) / _SQUARE_PER_BOX


@lru_cache(maxsize=2)
def _face_detector(model: int) -> Any:
    return mediapipe_solutions().face_detection.FaceDetection(
        model_selection=model, min_detection_confidence=0.4
    )
