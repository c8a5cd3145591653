"""One picture laid over every frame of a clip: what a method has to beat."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path

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
