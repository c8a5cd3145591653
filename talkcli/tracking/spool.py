"""Keeps a clip's landmarks on disk, between the network and whoever reads them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import cv2
import numpy as np

_FLOATS = 478 * 3
#: Files of a spool that is kept: ``[n, 478, 3]`` little-endian float32 without a header, and
#: ``[n, 2]`` times and sharpness.
_POINTS, _FRAMES = "landmarks.f32", "frames.npy"
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
    """Landmarks in a file, written once and read in pieces.

    A new spool is a temporary file, deleted when it is closed; :meth:`save` keeps a copy, which
    :meth:`open` reads.

    Attributes:
        found: number of frames with a face.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="talkcli-landmarks-")  # noqa: SIM115
        self._times: list[float] = []
        self._sharpness: list[float] = []
        self.found = 0

    def save(self, directory: Path) -> None:
        """Write all frames into an existing directory."""
        self._file.seek(0)
        with (directory / _POINTS).open("wb") as copy:
            shutil.copyfileobj(self._file, copy, 1 << 20)
        rows = np.array([self._times, self._sharpness], np.float64).T
        np.save(directory / _FRAMES, rows, allow_pickle=False)

    @classmethod
    def open(cls, directory: Path) -> LandmarkSpool:
        """Open what :meth:`save` wrote; nothing may be appended.

        Raises:
            OSError: a file is missing.
            ValueError: the files do not belong together, or hold what no clip has.
        """
        rows = np.load(directory / _FRAMES, allow_pickle=False)
        if rows.dtype != np.float64 or rows.ndim != 2 or rows.shape[1] != 2:
            raise ValueError(f"{_FRAMES} is no table of frames")
        if not np.isfinite(rows).all() or (np.diff(rows[:, 0]) < 0).any():
            raise ValueError(f"{_FRAMES} holds impossible times")
        if (directory / _POINTS).stat().st_size != len(rows) * _FLOATS * 4:
            raise ValueError(f"{_POINTS} does not belong to {_FRAMES}")
        spool = cls()
        spool._file.close()
        spool._file = (directory / _POINTS).open("rb")
        spool._times, spool._sharpness = rows[:, 0].tolist(), rows[:, 1].tolist()
        spool.found = sum(spool.points(index) is not None for index in range(len(rows)))
        return spool

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

    def copy_to(self, other: LandmarkSpool, first: int, end: int) -> None:
        """Append some frames to another spool, with times from the first of them."""
        start = self._times[first]
        for index in range(first, end):
            sharp = self._sharpness[index]
            other.append(Measured(self._times[index] - start, self.points(index), sharp))

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

    @property
    def starts(self) -> np.ndarray:
        """``[n]`` when every frame appears, seconds."""
        return np.array(self._times)

    @property
    def middles(self) -> np.ndarray:
        """``[n]`` the middle of every frame's display, seconds."""
        edges = np.array([*self._times, self.duration_s])
        return np.asarray((edges[:-1] + edges[1:]) / 2)

    def __iter__(self) -> Iterator[Measured]:
        for index, time_s in enumerate(self.middles):
            yield Measured(float(time_s), self.points(index), self._sharpness[index])

    def points(self, index: int) -> np.ndarray | None:
        """``[478, 3]`` landmarks of one frame, or None if it shows no face."""
        points = self._read(index, 1)[0]
        return points if bool(np.isfinite(points[0, 0])) else None

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
