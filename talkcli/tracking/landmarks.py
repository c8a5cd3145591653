"""Faces and their 478 landmarks in a picture, with the networks bundled in MediaPipe's wheel.

FaceMesh alone misses small faces, since its detector is made for selfies. So the long-range
detector looks at the whole picture first, every find is cropped and measured by FaceMesh, and a
second pass on a crop of standard framing settles the landmarks (they move by up to 2 % of the
face height with the framing of the crop).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from talkcli.errors import MissingDependencyError
from talkcli.face.topology import FACE_OVAL

#: Side of the standard crop in face heights, and its centre above the chin. See DESIGN: portrait.
CROP_SIDE_FH = 2.75
CROP_CENTRE_ABOVE_CHIN_FH = 0.5
#: FaceMesh is run on crops of this many pixels; more gains nothing, its input is 192 or 256.
_MESH_INPUT_PX = 512
_FOREHEAD, _CHIN = 10, 152


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
        """Face height in pixels: forehead (vertex 10) to chin (vertex 152), with depth."""
        return float(np.linalg.norm(self.points[_FOREHEAD] - self.points[_CHIN]))

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 of all landmarks in pixels."""
        low, high = self.points[:, :2].min(0), self.points[:, :2].max(0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def crop_rectangle(points: np.ndarray) -> tuple[float, float, float]:
    """The standard head crop: x0, y0 and side in pixels; it may reach beyond the picture."""
    height = float(np.linalg.norm(points[_FOREHEAD] - points[_CHIN]))
    side = CROP_SIDE_FH * height
    centre_x = float(points[list(FACE_OVAL), 0].mean())
    centre_y = float(points[_CHIN, 1]) - CROP_CENTRE_ABOVE_CHIN_FH * height
    return centre_x - side / 2, centre_y - side / 2, side


def detect_faces(rgb: np.ndarray) -> list[Face]:
    """All faces of a picture, largest first.

    Args:
        rgb: ``[H, W, 3]`` uint8, sRGB.

    Returns:
        The faces with refined landmarks; empty when none is found.

    Raises:
        MissingDependencyError: MediaPipe cannot be imported.
    """
    height, width = rgb.shape[:2]
    squares = [(0.0, 0.0, float(max(height, width)))]
    squares += _detector_squares(rgb)
    # Close-ups: padding lets the detector see a face that fills the picture.
    squares.append((-0.3 * width, -0.3 * height, 1.6 * max(height, width)))
    faces: list[Face] = []
    for square in squares:
        points = _mesh_on_square(rgb, square)
        if points is None:
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
    result = _face_mesh().process(np.ascontiguousarray(rgb))
    if not result.multi_face_landmarks:
        return None
    landmarks = result.multi_face_landmarks[0].landmark
    return np.array([(p.x * width, p.y * height, p.z * width) for p in landmarks])


def _mesh_on_square(rgb: np.ndarray, square: tuple[float, float, float]) -> np.ndarray | None:
    x0, y0, side = square
    scale = _MESH_INPUT_PX / side
    matrix = np.array([[scale, 0, -x0 * scale], [0, scale, -y0 * scale]])
    crop = cv2.warpAffine(
        rgb,
        matrix,
        (_MESH_INPUT_PX, _MESH_INPUT_PX),
        flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_CONSTANT,
    )
    points = landmarks_in_crop(crop)
    return None if points is None else points / scale + (x0, y0, 0)


def _detector_squares(rgb: np.ndarray) -> list[tuple[float, float, float]]:
    """Squares around the finds of the long-range and the short-range detector."""
    height, width = rgb.shape[:2]
    squares = []
    for model in (1, 0):
        result = _face_detector(model).process(rgb)
        for find in result.detections or []:
            box = find.location_data.relative_bounding_box
            centre_x = (box.xmin + box.width / 2) * width
            centre_y = (box.ymin + box.height / 2) * height
            side = 2.2 * max(box.width * width, box.height * height)
            if side > 8:
                squares.append((centre_x - side / 2, centre_y - side / 2, side))
    return squares


def _same_place(a: np.ndarray, b: np.ndarray) -> bool:
    size = min(np.ptp(a[:, 1]), np.ptp(b[:, 1]))
    return bool(np.linalg.norm(a[:, :2].mean(0) - b[:, :2].mean(0)) < 0.5 * size)


def _solutions() -> Any:
    try:
        import mediapipe
    except ImportError as error:
        raise MissingDependencyError(
            f"MediaPipe cannot be loaded ({error})", "run: talkcli doctor"
        ) from error
    return mediapipe.solutions


@lru_cache(maxsize=1)
def _face_mesh() -> Any:
    return _solutions().face_mesh.FaceMesh(
        static_image_mode=True,
        max_num_faces=1,
        refine_landmarks=True,
        min_detection_confidence=0.3,
    )


@lru_cache(maxsize=2)
def _face_detector(model: int) -> Any:
    return _solutions().face_detection.FaceDetection(
        model_selection=model, min_detection_confidence=0.4
    )
