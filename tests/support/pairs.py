"""Pairs of made-up pictures of one face, as metrics see them."""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.face.measures import face_height
from talkcli.face.model import FaceModel
from talkcli.face.topology import FACE_OVAL
from talkcli.metrics.pair import FramePair
from talkcli.metrics.regions import face_regions

SIDE = 160


def face_points(height_px: float = 80.0) -> np.ndarray:
    """``[478, 3]`` landmarks of a frontal face in the middle of the picture."""
    flat = FaceModel.load().vertices * (1.0, -1.0, -1.0)
    flat = flat * height_px / face_height(flat)
    return np.asarray(flat - flat.mean(0) + (SIDE / 2, SIDE / 2, 0.0))


def face_picture(points: np.ndarray, seed: int = 0) -> np.ndarray:
    """``[160, 160, 3]`` uint8: a textured oval on a textured ground."""
    rng = np.random.default_rng(seed)
    rough = rng.integers(0, 255, (20, 20, 3)).astype(np.uint8)
    rgb = cv2.resize(rough, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) // 2
    oval = np.round(points[list(FACE_OVAL), :2]).astype(np.int32)
    mask = cv2.fillConvexPoly(np.zeros((SIDE, SIDE), np.uint8), cv2.convexHull(oval), 1) > 0
    rgb[mask] = rgb[mask] // 2 + 110
    return np.asarray(rgb)


def frame_pair(
    made: np.ndarray, real: np.ndarray, index: int = 0, *, fps: float = 25.0, face: bool = True
) -> FramePair:
    """The pair of an instant; without ``face`` nobody was found."""
    points = face_points() if face else None
    regions = face_regions(points, SIDE, SIDE) if points is not None else {}
    return FramePair(index, (index + 0.5) / fps, made, real, points, points, regions)
