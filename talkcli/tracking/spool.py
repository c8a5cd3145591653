"""Keeps a clip's landmarks on disk on their way from the network to the solver."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

import cv2
import numpy as np

_FLOATS = 478 * 3
_FACE_PX = 96  # sharpness is measured on faces of this size, so that clips are comparable


@dataclass(frozen=True)
class Measured:
    """One frame of a clip.

    Attributes:
        time_s: when the frame appears, seconds; if read from a spool, the middle of its display.
        points: ``[478, 3]`` landmarks in pixels, z in the same unit away from the camera, or None.
        sharpness: sharpness of the face, see :func:`sharpness`; 0 without one.
    """

    time_s: float
    points: np.ndarray | None
    sharpness: float = 0.0


def sharpness(rgb: np.ndarray, points: np.ndarray) -> float:
    """Measure the detail in a face: the standard deviation of its Laplacian, in grey levels.

    Args:
        rgb: ``[H, W, 3]`` uint8.
        points: ``[478, 3]`` landmarks in its pixels.
    """
    low = np.floor(points[:, :2].min(0)).astype(int).clip(0)
    high = np.ceil(points[:, :2].max(0)).astype(int).clip(0)
    face = rgb[low[1] : high[1], low[0] : high[0]]
    if min(face.shape[:2]) < 8:
        return 0.0
    small = cv2.resize(face, (_FACE_PX, _FACE_PX), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).std())


class LandmarkSpool:
    """A temporary file of landmarks, written once and read in pieces; deleted when closed.

    Attributes:
        found: number of frames with a face.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="talkcli-landmarks-")  # noqa: SIM115
        self._times: list[float] = []
        self._sharpness: list[float] = []
        self.found = 0

    def __enter__(self) -> LandmarkSpool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._times)

    def append(self, measured: Measured) -> None:
        """Add the next frame."""
        self._times.append(measured.time_s)
        self._sharpness.append(measured.sharpness)
        if measured.points is None:
            row = np.full(_FLOATS, np.nan, np.float32)
        else:
            self.found += 1
            row = measured.points.astype(np.float32)
        self._file.write(row.tobytes())

    def clear(self) -> None:
        """Forget all frames."""
        self._file.seek(0)
        self._file.truncate()
        self._times, self._sharpness, self.found = [], [], 0

    @property
    def step_s(self) -> float:
        """Usual time between frames, seconds."""
        return float(np.median(np.diff(self._times))) if len(self._times) > 1 else 0.04

    @property
    def duration_s(self) -> float:
        """Seconds from the start of the file to the end of the last frame's display."""
        if len(self._times) < 2:
            return len(self._times) * self.step_s
        # The last frame is shown as long as the one before it: frame rates may vary in a clip.
        return 2 * self._times[-1] - self._times[-2]

    def __iter__(self) -> Iterator[Measured]:
        middles = np.array([*self._times, self.duration_s])
        middles = (middles[:-1] + middles[1:]) / 2
        for index, time_s in enumerate(middles):
            points = self._read(index, 1)[0]
            there = bool(np.isfinite(points[0, 0]))
            yield Measured(float(time_s), points if there else None, self._sharpness[index])

    def sample(self, count: int) -> np.ndarray:
        """``[k, 478, 3]`` landmarks of at most ``count`` frames with a face, evenly spread."""
        steps = np.linspace(0, len(self) - 1, min(4 * count, len(self))).round().astype(int)
        rows = [self._read(int(i), 1)[0] for i in np.unique(steps)]
        there = [row for row in rows if np.isfinite(row[0, 0])]
        if len(there) < min(count, self.found):
            # Faces are rare in this clip: take them all.
            there = [m.points for m in self if m.points is not None]
        chosen = np.linspace(0, len(there) - 1, min(count, len(there))).round().astype(int)
        return np.array([there[i] for i in chosen], np.float64)

    def run(self, count: int) -> np.ndarray:
        """``[k, 478, 3]`` landmarks of the first ``count`` frames that show a face."""
        points = self._read(0, min(count, len(self)))
        there = points[np.isfinite(points[:, 0, 0])]
        return there if len(there) > 2 else self.sample(count)

    def _read(self, first: int, count: int) -> np.ndarray:
        self._file.seek(first * _FLOATS * 4)
        data = self._file.read(count * _FLOATS * 4)
        return np.frombuffer(data, np.float32).reshape(-1, 478, 3).astype(np.float64)
