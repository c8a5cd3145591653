"""The sound on its way from the file to the motion: shifted in time, its peak measured."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from talkcli.shapes import Float32

#: Sample rate of the sound that speech features are computed from, Hz.
RATE_HZ = 16000
#: Peak amplitude below which a recording counts as silent: -60 dB of full scale.
SILENCE = 1e-3


class PeakMeter:
    """Passes blocks through and remembers the loudest sample.

    Attributes:
        peak: largest absolute sample so far, full scale 1.0.
    """

    def __init__(self) -> None:
        self.peak = 0.0

    def tap(
        self, blocks: Iterable[Float32[np.ndarray, " _"]]
    ) -> Iterator[Float32[np.ndarray, " _"]]:
        """Yield blocks ``[samples]`` unchanged."""
        for block in blocks:
            if len(block):
                self.peak = max(self.peak, float(np.abs(block).max()))
            yield block

    @property
    def silent(self) -> bool:
        """Whether everything so far was too quiet to be speech."""
        return self.peak < SILENCE


class LookAhead:
    """Passes blocks through and can be told to fetch some before they are asked for.

    Args:
        blocks: ``[n]`` float32 each, 16 kHz.

    Attributes:
        ended: nothing is left to fetch.
    """

    def __init__(self, blocks: Iterable[np.ndarray]) -> None:
        self._blocks = iter(blocks)
        self._waiting: deque[np.ndarray] = deque()
        self._fetched = 0
        self.ended = False

    def reach(self, time_s: float) -> None:
        """Fetch until the sound is known up to an instant, or to its end."""
        while not self.ended and self._fetched < time_s * RATE_HZ:
            self._fetch()

    def __iter__(self) -> Iterator[np.ndarray]:
        while not self.ended or self._waiting:
            if not self._waiting:
                self._fetch()
            else:
                yield self._waiting.popleft()

    def _fetch(self) -> None:
        block = next(self._blocks, None)
        if block is None:
            self.ended = True
        else:
            self._fetched += len(block)
            self._waiting.append(block)


def shift(
    blocks: Iterable[Float32[np.ndarray, " _"]], offset_ms: float
) -> Iterator[Float32[np.ndarray, " _"]]:
    """The sound the mouth follows: delayed by silence, or started later.

    Args:
        blocks: ``[n]`` float32 each, 16 kHz.
        offset_ms: > 0 moves the mouth later than the sound.
    """
    samples = round(offset_ms * RATE_HZ / 1000)
    if samples > 0:
        yield np.zeros(samples, np.float32)
    skip = max(0, -samples)
    for block in blocks:
        if skip < len(block):
            yield block[skip:]
        skip = max(0, skip - len(block))
