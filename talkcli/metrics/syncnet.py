"""LSE-D and LSE-C, the lip-sync scores of papers, with SyncNet's public weights.

SyncNet (Chung and Zisserman, "Out of time: automated lip sync in the wild", ACCV-W 2016) maps five
frames of a face and .2 s of sound to vectors that are near each other if they belong together.
LSE-D is the mean distance at the shift where it is least, and LSE-C the median over shifts less
that (Prajwal et al., "A lip sync expert is all you need", ACM MM 2020). The layers below follow
the published table of ``syncnet_v2``; the weights are ``talkcli models pull syncnet``.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.fft import dct
from torch import nn

from talkcli.errors import InputError
from talkcli.shapes import Float, Float32

#: Pictures per second and their side, rows of sound per picture, and what a vector looks at.
FPS, SIDE = 25, 224
ROWS_PER_FRAME, WINDOW_FRAMES, WINDOW_ROWS = 4, 5, 20
#: Frames by which the sound is shifted to both sides.
REACH = 15
#: Length of a vector, and of the layer before it.
VECTOR, _HIDDEN = 1024, 512
#: What ``torch.nn.functional.pairwise_distance`` adds to every difference.
_EPS = 1e-6


class _Conv(NamedTuple):
    """A convolution, normalisation and rectifier, then a pooling of ``(kernel, stride, pad)``."""

    inputs: int
    outputs: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    pool: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None = None


_SOUND = (
    _Conv(1, 64, (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1), (0, 0))),
    _Conv(64, 192, (3, 3), (1, 1), (1, 1), ((3, 3), (1, 2), (0, 0))),
    _Conv(192, 384, (3, 3), (1, 1), (1, 1)),
    _Conv(384, 256, (3, 3), (1, 1), (1, 1)),
    _Conv(256, 256, (3, 3), (1, 1), (1, 1), ((3, 3), (2, 2), (0, 0))),
    _Conv(256, 512, (5, 4), (1, 1), (0, 0)),
)
_LIPS = (
    _Conv(3, 96, (5, 7, 7), (1, 2, 2), (0, 0, 0), ((1, 3, 3), (1, 2, 2), (0, 0, 0))),
    _Conv(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1), ((1, 3, 3), (1, 2, 2), (0, 1, 1))),
    _Conv(256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1)),
    _Conv(256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1)),
    _Conv(256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1), ((1, 3, 3), (1, 2, 2), (0, 0, 0))),
    _Conv(256, 512, (1, 6, 6), (1, 1, 1), (0, 0, 0)),
)


def _layers(table: Iterable[_Conv]) -> nn.Sequential:
    """Layers in the order in which the weights number them."""
    layers: list[nn.Module] = []
    for row in table:
        flat = len(row.kernel) == 2
        conv: Any = nn.Conv2d if flat else nn.Conv3d
        norm: Any = nn.BatchNorm2d if flat else nn.BatchNorm3d
        pool: Any = nn.MaxPool2d if flat else nn.MaxPool3d
        layers += [
            conv(row.inputs, row.outputs, row.kernel, row.stride, row.pad),
            norm(row.outputs),
            nn.ReLU(),
        ]
        if row.pool is not None:
            layers.append(pool(*row.pool))
    return nn.Sequential(*layers)


def _head() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(_HIDDEN, _HIDDEN), nn.BatchNorm1d(_HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, VECTOR)
    )


class SyncNet(nn.Module):
    """The two networks; the names of the parts are those of the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud, self.netfcaud = _layers(_SOUND), _head()
        self.netcnnlip, self.netfclip = _layers(_LIPS), _head()
        self.eval()

    @torch.no_grad()
    def hear(self, rows: Float32[np.ndarray, "b 13 20"]) -> Float32[np.ndarray, "b 1024"]:
        """Vectors of pieces of sound.

        Args:
            rows: MFCCs of .2 s each, as :class:`MfccStream` gives them.
        """
        seen = self.netcnnaud(torch.from_numpy(rows)[:, None])
        return np.asarray(self.netfcaud(seen.flatten(1)).numpy())

    @torch.no_grad()
    def look(self, faces: Float32[np.ndarray, "b 3 5 224 224"]) -> Float32[np.ndarray, "b 1024"]:
        """Vectors of pieces of video.

        Args:
            faces: five pictures each, blue, green and red, 0–255.
        """
        seen = self.netcnnlip(torch.from_numpy(faces))
        return np.asarray(self.netfclip(seen.flatten(1)).numpy())


def load_syncnet(path: Path) -> SyncNet:
    """Load the public weights; nothing but tensors is unpacked.

    Args:
        path: ``syncnet_v2.model``.

    Raises:
        InputError: the file holds something else.
    """
    network = SyncNet()
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(weights)
    except (OSError, RuntimeError, ValueError, TypeError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path} does not hold the weights of syncnet_v2 ({reason})",
            "run: talkcli models verify syncnet",
        ) from error
    return network


class MfccStream:
    """Mel-frequency cepstral coefficients, 100 rows of 13 per second, block by block.

    As ``python_speech_features.mfcc`` computes them with its defaults: pre-emphasis .97,
    rectangular windows of 25 ms every 10 ms, 512 points, 26 triangles from 0 to 8 kHz, 13
    coefficients with a lifter of 22, the first replaced by the logarithm of the energy.
    """

    _LENGTH, _STEP, _POINTS, _RATE = 400, 160, 512, 16000
    _BANDS, _COEFFICIENTS, _LIFTER, _EMPHASIS = 26, 13, 22, 0.97

    def __init__(self) -> None:
        self._waiting = np.zeros(0)
        self._last: float | None = None
        self._bank = self._triangles()
        order = np.arange(self._COEFFICIENTS)
        self._lift = 1.0 + self._LIFTER / 2.0 * np.sin(np.pi * order / self._LIFTER)

    def push(self, samples: Float[np.ndarray, " n"]) -> Float[np.ndarray, "rows 13"]:
        """Take sound and return the rows that it completes.

        Args:
            samples: mono at 16 kHz, in the range of 16-bit integers.
        """
        if len(samples) == 0:
            return np.zeros((0, self._COEFFICIENTS))
        before = np.concatenate([[0.0 if self._last is None else self._last], samples[:-1]])
        self._last = float(samples[-1])
        self._waiting = np.concatenate([self._waiting, samples - self._EMPHASIS * before])
        count = max(0, (len(self._waiting) - self._LENGTH) // self._STEP + 1)
        return self._take(count)

    def finish(self) -> Float[np.ndarray, "rows 13"]:
        """The last row, whose window reaches beyond the end of the sound."""
        if self._last is None or len(self._waiting) <= self._LENGTH - self._STEP:
            return np.zeros((0, self._COEFFICIENTS))
        self._waiting = np.pad(self._waiting, (0, self._LENGTH))
        return self._take(1)

    def _take(self, count: int) -> np.ndarray:
        starts = np.arange(count)[:, None] * self._STEP
        windows = self._waiting[starts + np.arange(self._LENGTH)]
        self._waiting = self._waiting[count * self._STEP :]
        power = np.abs(np.fft.rfft(windows, self._POINTS)) ** 2 / self._POINTS
        tiny = np.finfo(float).eps
        energy = power.sum(1)
        bands = power @ self._bank.T
        logs = np.log(np.where(bands == 0.0, tiny, bands))
        rows = dct(logs, type=2, axis=1, norm="ortho")[:, : self._COEFFICIENTS] * self._lift
        rows[:, 0] = np.log(np.where(energy == 0.0, tiny, energy))
        return np.asarray(rows)

    def _triangles(self) -> np.ndarray:
        """``[26, 257]`` weights of the triangular bands."""
        top = 2595.0 * np.log10(1.0 + self._RATE / 2.0 / 700.0)
        mel = np.linspace(0.0, top, self._BANDS + 2)
        hertz = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
        edges = np.floor((self._POINTS + 1) * hertz / self._RATE)
        bank = np.zeros((self._BANDS, self._POINTS // 2 + 1))
        for band in range(self._BANDS):
            low, middle, high = edges[band : band + 3]
            rising, falling = np.arange(int(low), int(middle)), np.arange(int(middle), int(high))
            bank[band, rising] = (rising - low) / max(middle - low, 1.0)
            bank[band, falling] = (high - falling) / max(high - middle, 1.0)
        return bank


class Lse(NamedTuple):
    """The lip-sync scores of a video.

    Attributes:
        distance: LSE-D.
        confidence: LSE-C.
        offset: frames by which the sound is later than the lips at the least distance.
    """

    distance: float
    confidence: float
    offset: int


class LseMeter:
    """Distances between lips and sound over all shifts, with vectors of 31 frames in memory."""

    def __init__(self) -> None:
        self._lips: deque[np.ndarray] = deque()
        self._sound: deque[np.ndarray] = deque(maxlen=2 * REACH + 1)
        # Before the first frame there is nothing, which SyncNet's authors take for zeros.
        self._sound.extend(np.zeros((REACH, VECTOR)))
        self._sums = np.zeros(2 * REACH + 1)
        self._count = 0

    def push(self, lips: Float[np.ndarray, "b 1024"], sound: Float[np.ndarray, "b 1024"]) -> None:
        """Add the vectors of the next frames.

        Args:
            lips: of the pictures.
            sound: of the sound at the same time.
        """
        for face, piece in zip(lips, sound, strict=True):
            self._lips.append(np.asarray(face, float))
            self._hear(np.asarray(piece, float))

    def finish(self) -> Lse | None:
        """The scores; None without a frame."""
        for _ in range(REACH):
            self._hear(np.zeros(VECTOR))
        if not self._count:
            return None
        means = self._sums / self._count
        best = int(means.argmin())
        # torch.median takes the lower of two middle values; of 31 there is one.
        return Lse(float(means[best]), float(np.median(means) - means[best]), REACH - best)

    def _hear(self, piece: np.ndarray) -> None:
        self._sound.append(piece)
        if len(self._sound) < 2 * REACH + 1 or not self._lips:
            return
        apart = self._lips.popleft() - np.stack(self._sound) + _EPS
        self._sums += np.linalg.norm(apart, axis=1)
        self._count += 1


def windows(rows: Iterable[Float[np.ndarray, "_ 13"]]) -> Iterator[Float32[np.ndarray, "13 20"]]:
    """The .2 s of sound that belong to every frame at 25 per second, as far as the sound goes.

    Args:
        rows: blocks of MFCCs, 100 rows per second.
    """
    waiting = np.zeros((0, 13))
    for block in rows:
        waiting = np.concatenate([waiting, block])
        while len(waiting) >= WINDOW_ROWS:
            yield np.ascontiguousarray(waiting[:WINDOW_ROWS].T, np.float32)
            waiting = waiting[ROWS_PER_FRAME:]
