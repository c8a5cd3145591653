"""Faces and their 478 landmarks in a picture, with the networks bundled in MediaPipe's wheel.

FaceMesh alone misses small faces, because its detector is made for selfies. So the long-range
detector searches the whole picture first, FaceMesh measures a crop around every find, and a second
pass on a crop of standard framing refines the landmarks (which depend on the framing by up to 2 %
of the face height). Overlapping tiles are searched only if that finds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from talkcli.face.measures import face_height
from talkcli.face.topology import CHIN_TIP, FACE_OVAL, FOREHEAD_TOP
from talkcli.tracking.detector import (
    ONE_AT_A_TIME,
    Square,
    detect_in_tiles,
    detect_squares,
)
from talkcli.weights.mediapipe import mediapipe_solutions

#: Side of the standard crop, and height of its centre above the chin, in face heights.
CROP_SIDE_FH = 2.75
CROP_CENTRE_ABOVE_CHIN_FH = 0.5
#: FaceMesh is run on crops of this many pixels; more gains nothing, since its input is 192 or 256.
_MESH_INPUT_PX = 512
#: Longer pictures are reduced to this: from 32,767 pixels on, MediaPipe aborts the process and
#: OpenCV's warps fail.
_LONGEST_SIDE = 32_000
#: Landmarks that swap in a mirror image: corners of the eyes and of the mouth, brows, temples; and
#: some on the midline.
_MIRRORED_PAIRS = (
    *((33, 263), (133, 362), (61, 291), (105, 334), (234, 454)),
    *((FOREHEAD_TOP, FOREHEAD_TOP), (1, 1), (13, 13), (CHIN_TIP, CHIN_TIP)),
)
#: Largest mean distance of landmarks from those of the mirror image, face heights. 421 of 431 faces
#: of 64 to 160 pixels stay below .04 (median .009; the others are profiles); 40 false faces that
#: FaceMesh found in noise and in photographs without faces begin at .051 (median .35).
_MIRRORED_FH = 0.04


@dataclass(frozen=True)
class Face:
    """One face found in a picture.

    Attributes:
        points: ``[478, 3]`` landmarks: x and y in pixels of the whole picture, z in the same
            unit, growing away from the camera, zero near the head's centre plane.
    """

    points: np.ndarray

    @property
    def size_px(self) -> float:
        """Face height in pixels: forehead (vertex 10) to chin (vertex 152), including depth."""
        return float(face_height(self.points))

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 of all landmarks in pixels."""
        low, high = self.points[:, :2].min(0), self.points[:, :2].max(0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def crop_rectangle(points: np.ndarray) -> Square:
    """The standard head crop: x0, y0 and side in pixels; it may extend beyond the picture."""
    height = float(face_height(points))
    side = CROP_SIDE_FH * height
    centre_x = float(points[list(FACE_OVAL), 0].mean())
    centre_y = float(points[CHIN_TIP, 1]) - CROP_CENTRE_ABOVE_CHIN_FH * height
    return Square(centre_x - side / 2, centre_y - side / 2, side)


def detect_faces(rgb: np.ndarray, *, small: bool = True) -> list[Face]:
    """Find all faces in a picture, largest first.

    Faces of about a tenth of the longer side or more are found in the picture as a whole. Only if
    there are none, tiles are searched for faces down to 64 pixels; faces found there may be even
    smaller, so that a message can say so.

    Args:
        rgb: ``[H, W, 3]`` uint8, sRGB.
        small: search tiles if the whole picture shows none: five times as long at 12 megapixels.

    Returns:
        The faces with refined landmarks; empty if none is found.

    Raises:
        MissingDependencyError: MediaPipe cannot be imported.
    """
    height, width = rgb.shape[:2]
    shrink = _LONGEST_SIDE / max(height, width)
    if shrink < 1:
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        reduced = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        return [Face(face.points / shrink) for face in detect_faces(reduced, small=small)]
    squares = [Square(0.0, 0.0, float(max(height, width)))]
    squares += detect_squares(rgb)
    # For close-ups: with padding, the detector sees a face that fills the picture.
    squares.append(Square(-0.3 * width, -0.3 * height, 1.6 * max(height, width)))
    faces = _measure_faces(rgb, squares)
    if faces or not small:
        return faces
    faces = _measure_faces(rgb, detect_in_tiles(rgb))
    return [face for face in faces if survives_mirroring(rgb, face.points)]


def _measure_faces(rgb: np.ndarray, squares: Sequence[Square]) -> list[Face]:
    """The distinct faces that FaceMesh sees in some squares, largest first."""
    faces: list[Face] = []
    for square in squares:
        points = _mesh_on_square(rgb, square)
        if points is None or any(_same_place(points, face.points) for face in faces):
            continue
        for _ in range(2):
            refined = _mesh_on_square(rgb, crop_rectangle(points))
            if refined is None or not _same_place(refined, points):
                break
            points = refined
        if not any(_same_place(points, face.points) for face in faces):
            faces.append(Face(points))
    return sorted(faces, key=lambda face: -face.size_px)


def landmarks_in_crop(rgb: np.ndarray) -> np.ndarray | None:
    """``[478, 3]`` landmarks of the one face in a square head crop, in its pixels, or None."""
    height, width = rgb.shape[:2]
    with ONE_AT_A_TIME:
        result = _face_mesh().process(np.ascontiguousarray(rgb))
    if not result.multi_face_landmarks:
        return None
    landmarks = result.multi_face_landmarks[0].landmark
    return np.array([(p.x * width, p.y * height, p.z * width) for p in landmarks])


def survives_mirroring(rgb: np.ndarray, points: np.ndarray) -> bool:
    """Whether FaceMesh sees the same face in the mirror image, unlike one imagined in texture.

    Args:
        rgb: ``[H, W, 3]`` uint8, sRGB.
        points: ``[478, 3]`` landmarks in its pixels.
    """
    mirrored = _mesh_on_square(rgb, crop_rectangle(points), mirror=True)
    if mirrored is None:
        return False
    here, there = np.array(_MIRRORED_PAIRS).T
    apart = np.linalg.norm((points[here] - mirrored[there])[:, :2], axis=1).mean()
    return bool(apart < _MIRRORED_FH * face_height(points))


def _mesh_on_square(rgb: np.ndarray, square: Square, *, mirror: bool = False) -> np.ndarray | None:
    """Landmarks in a square, in pixels of the picture; optionally measured in its mirror image.

    In that case x is mirrored back, but left and right landmarks stay swapped.
    """
    x0, y0, side = square
    scale = _MESH_INPUT_PX / side
    matrix = np.array([[scale, 0, -x0 * scale], [0, scale, -y0 * scale]])
    if mirror:
        matrix[0] = -scale, 0, _MESH_INPUT_PX + x0 * scale
    crop = cv2.warpAffine(
        rgb,
        matrix,
        (_MESH_INPUT_PX, _MESH_INPUT_PX),
        flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_CONSTANT,
    )
    points = landmarks_in_crop(crop)
    if points is None:
        return None
    if mirror:
        points[:, 0] = _MESH_INPUT_PX - points[:, 0]
    return points / scale + (x0, y0, 0)


def _same_place(a: np.ndarray, b: np.ndarray) -> bool:
    size = min(np.ptp(a[:, 1]), np.ptp(b[:, 1]))
    return bool(np.linalg.norm(a[:, :2].mean(0) - b[:, :2].mean(0)) < 0.5 * size)


@lru_cache(maxsize=1)
def _face_mesh() -> Any:
    return mediapipe_solutions().face_mesh.FaceMesh(
        static_image_mode=True,
        max_num_faces=1,
        refine_landmarks=True,
        min_detection_confidence=0.3,
    )
