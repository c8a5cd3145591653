"""Landmarks of one face, followed through the frames of a clip.

Two landmark networks share one interface: the FaceMesh bundled in MediaPipe's wheel, and
MediaPipe's Tasks API with a ``face_landmarker.task`` that the user has installed. Both see a
square around the face that stays in place until the face leaves its middle, so that their own
frame-to-frame tracking works in clips of any size and next to other faces.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from talkcli.errors import InputError, MissingDependencyError
from talkcli.tracking.landmarks import Face, detect_faces

#: The environment variable that names a model of the Tasks API if no setting does.
MODEL_VARIABLE = "TALKCLI_FACE_LANDMARKER"
#: The setting that selects the network bundled in the wheel, even if that variable is set.
BUNDLED = "bundled"

_SIDE_FH = 3.0  # side of the square in face heights
_SQUARE_PX = 448  # the networks use 192 px, cut from about half of it
_LEFT_MIDDLE_FH = 0.4  # the square moves when the face is this far from its centre ...
_GROWN = 1.35  # ... or when its size has changed by this factor
_SEARCH_SIDE = 640  # faces are searched for in pictures of this size
_LONGEST_PAUSE = 25  # frames between two searches
_SAME_FACE_FH = 1.5  # within this distance, a face found again is taken for the old one


class LandmarkSource(Protocol):
    """A network that follows one face in pictures of one size."""

    #: The network's name as stored with results.
    name: str

    def measure(self, rgb: np.ndarray) -> np.ndarray | None:
        """``[478, 3]`` landmarks in pixels of ``rgb`` (z in the same unit), or None."""

    def restart(self) -> None:
        """Forget where the face was, since the next picture is a different crop."""

    def close(self) -> None:
        """Release the network."""


class BundledMesh:
    """FaceMesh with refined lips, lids and irises, from MediaPipe's wheel."""

    name = BUNDLED

    def __init__(self) -> None:
        try:
            from mediapipe.python.solutions.face_mesh import FaceMesh
        except ImportError as error:
            raise MissingDependencyError(
                f"MediaPipe cannot be loaded ({error})", "run: talkcli doctor"
            ) from error
        self._mesh: Any = FaceMesh(
            max_num_faces=1,
            refine_landmarks=True,
            min_detection_confidence=0.3,
            min_tracking_confidence=0.3,
        )

    def measure(self, rgb: np.ndarray) -> np.ndarray | None:
        """See :class:`LandmarkSource`."""
        found = self._mesh.process(rgb).multi_face_landmarks
        return _in_pixels(found[0].landmark, rgb) if found else None

    def restart(self) -> None:
        """See :class:`LandmarkSource`."""
        self._mesh.reset()

    def close(self) -> None:
        """See :class:`LandmarkSource`."""
        self._mesh.close()


class TaskLandmarker:
    """MediaPipe's Face Landmarker task, from a model file that the user has installed.

    Args:
        model: ``face_landmarker.task``.

    Raises:
        MissingDependencyError: the file does not exist or is not such a model.
    """

    def __init__(self, model: Path) -> None:
        self._model = model
        self.name = model.name
        self._task: Any = None
        self._clock_ms = 0
        self.restart()

    def measure(self, rgb: np.ndarray) -> np.ndarray | None:
        """See :class:`LandmarkSource`."""
        import mediapipe

        # Only the order of the timestamps matters to the library.
        self._clock_ms += 33
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb)
        found = self._task.detect_for_video(image, self._clock_ms).face_landmarks
        return _in_pixels(found[0], rgb) if found else None

    def restart(self) -> None:
        """See :class:`LandmarkSource`."""
        self.close()
        try:
            from mediapipe.tasks.python import BaseOptions, vision

            options = vision.FaceLandmarkerOptions(
                # Bytes, not a path, since the library fails on names with non-ASCII letters.
                base_options=BaseOptions(model_asset_buffer=self._model.read_bytes()),
                running_mode=vision.RunningMode.VIDEO,
                min_face_detection_confidence=0.3,
                min_tracking_confidence=0.3,
            )
            self._task = vision.FaceLandmarker.create_from_options(options)
        except (OSError, RuntimeError, ValueError, ImportError) as error:
            raise MissingDependencyError(
                f"the landmark model {self._model} cannot be used ({error})",
                f"install a face_landmarker.task there, or --set tracking.landmarks={BUNDLED}",
            ) from error

    def close(self) -> None:
        """See :class:`LandmarkSource`."""
        if self._task is not None:
            self._task.close()
            self._task = None


def landmark_model(setting: str) -> Path | None:
    """The model file that a setting selects; None for the bundled network.

    Args:
        setting: a path, ``bundled``, or ``auto``: ``TALKCLI_FACE_LANDMARKER`` if it is set,
            otherwise bundled.
    """
    chosen = os.environ.get(MODEL_VARIABLE, BUNDLED) if setting == "auto" else setting
    return None if chosen in ("", BUNDLED) else Path(chosen)


def open_landmarks(setting: str = "auto") -> LandmarkSource:
    """Open the landmark network that a setting selects; see :func:`landmark_model`.

    Raises:
        MissingDependencyError: the network cannot be loaded.
    """
    model = landmark_model(setting)
    return BundledMesh() if model is None else TaskLandmarker(model)


class FaceFollower:
    """Follows one face from frame to frame, and finds it again after losing it.

    Args:
        source: the landmark network.
        face: index among the faces of the first frame that shows any, 0 for the largest.
        small: also search for faces below a tenth of the frame's longer side, in whole frames.

    Attributes:
        faces_seen: largest number of faces found in one frame so far.
    """

    def __init__(self, source: LandmarkSource, face: int = 0, *, small: bool = False) -> None:
        self._source = source
        self._wanted = face
        self._small = small
        self._square: tuple[float, float, float] | None = None
        self._last: np.ndarray | None = None
        self._pause = self._waited = 0
        self._begun = False
        self.faces_seen = 0

    def forget(self) -> None:
        """Search anew, since the next frame shows another scene."""
        self._square = self._last = None
        self._pause = self._waited = 0

    def follow(self, rgb: np.ndarray) -> np.ndarray | None:
        """``[478, 3]`` landmarks of the face in pixels of the frame, or None if it is not there.

        Args:
            rgb: ``[H, W, 3]`` uint8, the next frame.

        Raises:
            InputError: the first frame with faces has too few for the wanted index.
        """
        points = None if self._square is None else self._measure(rgb)
        if points is None and self._may_search():
            face = self._search(rgb)
            if face is not None:
                self._move_to(face.points)
                points = self._measure(rgb)
        if points is not None:
            self._last, self._pause, self._waited = points, 0, 0
            if self._has_left(points):
                self._move_to(points)
        return points

    def _measure(self, rgb: np.ndarray) -> np.ndarray | None:
        assert self._square is not None
        x0, y0, side = self._square
        size = int(min(_SQUARE_PX, max(192, round(side))))
        scale = size / side
        matrix = np.array([[scale, 0, -x0 * scale], [0, scale, -y0 * scale]])
        # Without a border around it, a face that fills the picture would be lost.
        square = cv2.warpAffine(
            rgb, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        points = self._source.measure(square)
        return None if points is None else points / scale + (x0, y0, 0)

    def _may_search(self) -> bool:
        """Whether to search now: searches cost thirty frames each, so failures make them rarer."""
        if self._waited < self._pause:
            self._waited += 1
            return False
        self._waited, self._pause = 0, min(_LONGEST_PAUSE, 2 * self._pause + 1)
        return True

    def _search(self, rgb: np.ndarray) -> Face | None:
        shrink = 1.0 if self._small else min(1.0, _SEARCH_SIDE / max(rgb.shape[:2]))
        size = (round(rgb.shape[1] * shrink), round(rgb.shape[0] * shrink))
        shown = rgb if shrink == 1.0 else cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        found = detect_faces(np.ascontiguousarray(shown), small=self._small)
        faces = [Face(face.points / shrink) for face in found]
        self.faces_seen = max(self.faces_seen, len(faces))
        if not faces:
            return None
        if self._last is None:
            # Later scenes may show fewer faces than the first.
            wanted = min(self._wanted, len(faces) - 1) if self._begun else self._wanted
            self._begun = True
            return _numbered(faces, wanted)
        last = Face(self._last)
        centre = last.points[:, :2].mean(0)

        def distance(face: Face) -> float:
            return float(np.linalg.norm(face.points[:, :2].mean(0) - centre)) / last.size_px

        nearest = min(faces, key=distance)
        # A single face may have moved far while it was hidden; among several, only a near one is
        # the same person.
        return nearest if len(faces) == 1 or distance(nearest) < _SAME_FACE_FH else None

    def _move_to(self, points: np.ndarray) -> None:
        height = Face(points).size_px
        side = _SIDE_FH * height
        x, y = (points[:, :2].min(0) + points[:, :2].max(0)) / 2
        self._square = (float(x) - side / 2, float(y) - side / 2, side)
        self._source.restart()

    def _has_left(self, points: np.ndarray) -> bool:
        assert self._square is not None
        x0, y0, side = self._square
        height = side / _SIDE_FH
        centre = (points[:, :2].min(0) + points[:, :2].max(0)) / 2
        off = np.abs(centre - (x0 + side / 2, y0 + side / 2)).max()
        grown = Face(points).size_px / height
        return bool(off > _LEFT_MIDDLE_FH * height or not 1 / _GROWN < grown < _GROWN)


def _numbered(faces: Sequence[Face], wanted: int) -> Face:
    if wanted >= len(faces):
        raise InputError(
            f"there is no face {wanted}, only {len(faces)} in the first frame that shows any",
            "choose a smaller index",
        )
    return faces[wanted]


def _in_pixels(landmarks: Any, rgb: np.ndarray) -> np.ndarray:
    height, width = rgb.shape[:2]
    flat = np.fromiter((v for p in landmarks for v in (p.x, p.y, p.z)), float, 3 * 478)
    return flat.reshape(478, 3) * (width, height, width)
