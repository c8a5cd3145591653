"""Pictures laid over the frames of a clip: what a method has to beat."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from talkcli.pipeline.evaluate.pairs import Side, moved_points, plane_similarity, warped
from talkcli.tracking.spool import LandmarkSpool, Measured


class AlignedStill:
    """A still picture, moved, turned and scaled so that its face lies where the clip's is.

    Args:
        path: what it is called in messages.
        picture: ``[h, w, 3]`` uint8.
        points: ``[478, 3]`` landmarks in its pixels.
        real: the clip.

    Attributes:
        path: as given.
        spool: its landmarks in every frame; none where the clip shows no face.
    """

    def __init__(self, path: Path, picture: np.ndarray, points: np.ndarray, real: Side) -> None:
        self.path, self.spool = path, LandmarkSpool()
        self._picture, self._real = picture, real
        self._moves: list[tuple[np.ndarray, np.ndarray]] = []
        move = np.eye(2), np.zeros(2)
        for number, start in enumerate(real.spool.starts):
            wanted = real.spool.points(number)
            if wanted is not None:
                move = plane_similarity(points, wanted)
            there = None if wanted is None else moved_points(points, *move)
            self.spool.append(Measured(float(start), there))
            self._moves.append(move)

    def frames(self) -> Generator[np.ndarray, None, None]:
        """``[H, W, 3]`` uint8 frames of the clip's size."""
        with closing(self._real.frames()) as frames:
            height, width = next(frames).shape[:2]
        for move in self._moves:
            yield warped(self._picture, *move, (height, width))


class AlignedNearest:
    """Frames of a clip, each laid over another frame of it.

    Args:
        real: the clip.
        chosen: number of a frame, to that of the frame that is laid over it.
        late_s: how much later than these pictures the clip shows the same, seconds.

    Attributes:
        path: that of the clip.
        spool: landmarks of the pictures.
    """

    def __init__(self, real: Side, chosen: Mapping[int, int], late_s: float) -> None:
        self.path, self.spool, self._real = real.path, LandmarkSpool(), real
        self._moves: list[tuple[int, tuple[np.ndarray, np.ndarray]]] = []
        starts = real.spool.starts
        for number, other in sorted(chosen.items()):
            if number >= len(starts):
                continue
            wanted, own = real.spool.points(number), real.spool.points(other)
            move, there = (np.eye(2), np.zeros(2)), None
            if wanted is not None and own is not None:
                move = plane_similarity(own, wanted)
                there = moved_points(own, *move)
            self.spool.append(Measured(float(starts[number]) - late_s, there))
            self._moves.append((other, move))

    def frames(self) -> Generator[np.ndarray, None, None]:
        """``[H, W, 3]`` uint8 frames of the clip's size; chosen ones lie in a file, as JPEG."""
        needed = {other for other, _ in self._moves}
        places: dict[int, tuple[int, int]] = {}
        with tempfile.TemporaryFile(prefix="talkcli-frames-") as file:
            with closing(self._real.frames()) as frames:
                for number, rgb in enumerate(frames):
                    if number in needed:
                        quality = [cv2.IMWRITE_JPEG_QUALITY, 98]
                        data = cv2.imencode(".jpg", rgb[..., ::-1], quality)[1]
                        places[number] = file.tell(), file.write(data.tobytes())
            for other, move in self._moves:
                start, length = places[other]
                file.seek(start)
                data = np.frombuffer(file.read(length), np.uint8)
                rgb = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
                yield warped(np.ascontiguousarray(rgb), *move, rgb.shape[:2])
