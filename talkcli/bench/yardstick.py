"""How fast one core of this machine is at work that everybody knows: sgemm and x264.

A machine's speed drifts with its other load and its temperature. So the yardsticks are measured in
turns with everything else, each turn in a fresh process with one thread. Run as a module, this file
is that process.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from talkcli.bench.worker import answer, ask

#: Variables that the libraries take their number of threads from.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
#: Rows of the square matrices, 4 MB each: larger ones are not faster.
_ROWS = 1024
_PRODUCTS = 6
_ROUNDS = 2
_SIDE, _FRAMES, _PERIOD = 512, 50, 25
_FPS = Fraction(25)


@dataclass(frozen=True)
class Turn:
    """One measurement.

    Attributes:
        sgemm_gflops: 10⁹ additions and multiplications per second of numpy's float32 matrix product
            on one core, the best of several.
        x264_fps: frames of the test clip per second of CPU time of the encoder, all its threads
            together, the best of several.
    """

    sgemm_gflops: float
    x264_fps: float


@dataclass(frozen=True)
class Yardsticks:
    """The measurements of a run.

    Attributes:
        turns: in the order in which they were taken.
    """

    turns: list[Turn] = field(default_factory=list)

    def take_turn(self) -> None:
        """Measure once more.

        Raises:
            TalkcliError: the process failed.
        """
        self.turns.append(take_turn())

    @property
    def sgemm_gflops(self) -> float:
        """Median of the turns."""
        return float(np.median([turn.sgemm_gflops for turn in self.turns]))

    def as_json(self) -> dict[str, Any]:
        """Medians, and how far the machine drifted."""
        products = [turn.sgemm_gflops for turn in self.turns]
        return {
            "sgemm_gflops": round(self.sgemm_gflops, 2),
            "sgemm_lowest": round(min(products), 2),
            "sgemm_highest": round(max(products), 2),
            "x264_fps": round(float(np.median([turn.x264_fps for turn in self.turns])), 1),
            "turns": len(self.turns),
        }


def one_thread() -> dict[str, str]:
    """The environment of a process whose numeric libraries use one thread."""
    return {**os.environ, **dict.fromkeys(THREADS, "1")}


def take_turn() -> Turn:
    """Measure both yardsticks in a fresh process.

    Raises:
        TalkcliError: the process failed.
    """
    failure = "the speed of this machine could not be measured"
    return Turn(**ask(__name__, failure=failure, environment=one_thread()))


def measure() -> Turn:
    """Measure both yardsticks, in turns, in this process."""
    rounds = [(product_seconds(_ROWS), encoding_seconds(_FRAMES)) for _ in range(_ROUNDS)]
    products, encodings = zip(*rounds, strict=True)
    return Turn(2 * _ROWS**3 / min(products) / 1e9, _FRAMES / min(encodings))


def product_seconds(rows: int) -> float:
    """CPU seconds of the quickest of several products of two square float32 matrices."""
    rng = np.random.default_rng(0)
    left, right = rng.random((2, rows, rows), np.float32)
    out, best = np.empty_like(left), np.inf
    for _ in range(_PRODUCTS):
        start = time.process_time()
        np.matmul(left, right, out=out)
        best = min(best, time.process_time() - start)
    return float(best)


def encoding_seconds(frames: int) -> float:
    """CPU seconds of the encoder for the test clip, with the settings that videos are made with.

    Its start, some 50 ms, and the conversion of colours are part of it, as for every video.
    """
    from talkcli.media.write import FrameFormat, VideoWriter

    pictures = _pictures()
    with tempfile.TemporaryDirectory(prefix="talkcli-bench-") as folder:
        path, duration_s = Path(folder, "clip.mp4"), float(frames / _FPS)
        before = children_seconds()
        with VideoWriter(path, FrameFormat(_SIDE, _SIDE, _FPS), duration_s=duration_s) as writer:
            for number in range(frames):
                writer.write(pictures[number % _PERIOD])
        return children_seconds() - before


@cache
def _pictures() -> list[np.ndarray]:
    return list(clip(_PERIOD))


def children_seconds() -> float:
    """CPU seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def clip(frames: int) -> Iterator[np.ndarray]:
    """``[512, 512, 3]`` uint8 pictures: a textured disc sways in front of a still texture."""
    rng = np.random.default_rng(0)
    still, moved = _texture(rng), _texture(rng)
    across = np.arange(_SIDE) - _SIDE / 2
    disc = (across[:, None] ** 2 + across**2 < (0.35 * _SIDE) ** 2)[..., None]
    for number in range(frames):
        angle = 2 * np.pi * number / frames
        shift = (round(4 * np.sin(2 * angle)), round(9 * np.sin(angle)))
        swayed = np.roll(np.where(disc, moved, 0), shift, (0, 1))
        yield np.where(np.roll(disc, shift, (0, 1)), swayed, still)


def _texture(rng: np.random.Generator) -> np.ndarray:
    """Soft spots of 32 px with grain of 3 px."""
    picture = np.full((_SIDE, _SIDE, 3), 128.0)
    for cells, strength in ((16, 60), (170, 12)):
        places = np.linspace(0, cells - 1.001, _SIDE)
        left, share = places.astype(int), places % 1
        weights = np.zeros((_SIDE, cells))
        weights[np.arange(_SIDE), left] = 1 - share
        weights[np.arange(_SIDE), left + 1] = share
        spots = rng.uniform(-strength, strength, (3, cells, cells))
        picture += np.moveaxis(weights @ spots @ weights.T, 0, -1)
    return picture.clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    sys.exit(answer(lambda: asdict(measure())))
