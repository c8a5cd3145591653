"""Shrinks a rendered head to output pixels, working only where the head is.

OpenCV's area interpolation of the whole crop took 2 to 4 ms of CPU per 512² frame, as much as the
composition that follows. It is also this kernel's readable twin: ``tests/unit/compose``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from talkcli.kernels.jit import helper, kernel
from talkcli.shapes import Float32, Int32

_ZERO = np.float32(0)


@dataclass(frozen=True)
class Taps:
    """Where the pixels of a shorter line come from.

    Attributes:
        first: ``[n]`` first source pixel of each.
        weights: ``[n, k]`` shares of that source pixel and of those that follow.
    """

    first: Int32[np.ndarray, " n"]
    weights: Float32[np.ndarray, "n k"]

    @staticmethod
    def of(source: int, target: int) -> Taps:
        """Taps by area: each of ``target`` pixels covers ``source / target`` source pixels.

        Weights are those of OpenCV's ``INTER_AREA``, which leaves out shares up to a thousandth.
        """
        scale = 1 / (target / source)
        begin = np.arange(target) * scale
        end, cell = begin + scale, np.minimum(scale, source - begin)
        last = np.minimum(np.floor(end), source - 1)
        whole = np.minimum(np.ceil(begin), last)
        before = (whole - begin) > 1e-3
        first = (whole - before).astype(np.int32)
        pixels = first[:, None] + np.arange(int(np.ceil(scale)) + 2)
        shares = ((pixels >= whole[:, None]) & (pixels < last[:, None])).astype(float)
        shares[:, 0] = np.where(before, whole - begin, shares[:, 0])
        rest = np.where(end - last > 1e-3, np.minimum(np.minimum(end - last, 1), cell), 0)
        shares += np.where(pixels == last[:, None], rest[:, None], 0)
        used = int((shares > 0).sum(1).max())
        weights = (shares / cell[:, None])[:, :used].astype(np.float32)
        return Taps(first, np.ascontiguousarray(weights))


class HeadShrinker:
    """Shrinks heads of one size to another; its results are overwritten by the next call.

    Args:
        source: side of the square crop, px.
        target: width and height of the result, px; no larger than the crop.
    """

    def __init__(self, source: int, target: tuple[int, int]) -> None:
        self._columns, self._rows = (Taps.of(source, size) for size in target)
        width, height = target
        self._rgb = np.zeros((height, width, 3), np.float32)
        self._alpha = np.zeros((height, width), np.float32)
        # Source rows that are narrow already, as many as one target row is made of.
        kept = self._rows.weights.shape[1]
        self._lines = np.zeros((kept, width, 4), np.float32)
        self._numbers, self._spans = np.empty(kept, np.int64), np.empty((kept, 2), np.int64)

    def __call__(
        self, rgb: Float32[np.ndarray, "S S 3"], alpha: Float32[np.ndarray, "S S"]
    ) -> tuple[Float32[np.ndarray, "h w 3"], Float32[np.ndarray, "h w"]]:
        """The head by area interpolation; colours are set only around where there is coverage.

        Args:
            rgb: contiguous, premultiplied; zero where ``alpha`` is.
            alpha: contiguous coverage.
        """
        rows, columns = self._rows, self._columns
        _shrink(
            rgb, alpha, (rows.first, rows.weights), (columns.first, columns.weights),
            (self._lines, self._numbers, self._spans), (self._rgb, self._alpha),
        )  # fmt: skip
        return self._rgb, self._alpha


@helper
def _covered(alpha: Any, row: int, left: int, right: int) -> Any:
    """The range ``left`` … ``right`` of columns, widened to those with coverage in a row."""
    for x in range(left):
        if alpha[row, x] > _ZERO:
            left = x
            break
    for x in range(alpha.shape[1] - 1, right - 1, -1):
        if alpha[row, x] > _ZERO:
            right = x + 1
            break
    return left, right


# Without fused multiply-adds and in OpenCV's order, so that the results are the same bits.
@kernel(fastmath=False)
def _narrow(rgb: Any, alpha: Any, row: int, columns: Any, line: Any, span: Any) -> None:
    """Shrink one row in width, into ``line [width, 4]``; ``span`` is set to where it covers."""
    first, weights = columns
    side, taps = alpha.shape[1], weights.shape[1]
    left, right = _covered(alpha, row, side, 0)
    line[:] = _ZERO
    span[0], span[1] = len(first), 0
    for x in range(len(first)):
        if first[x] + taps <= left or first[x] >= right:
            continue
        span[0], span[1] = min(span[0], x), x + 1
        red, green, blue, cover = _ZERO, _ZERO, _ZERO, _ZERO
        for j in range(taps):
            weight = weights[x, j]
            # The last pixel may have fewer sources than the others.
            source = min(first[x] + j, side - 1)
            red += weight * rgb[row, source, 0]
            green += weight * rgb[row, source, 1]
            blue += weight * rgb[row, source, 2]
            cover += weight * alpha[row, source]
        line[x, 0], line[x, 1], line[x, 2], line[x, 3] = red, green, blue, cover


@kernel(fastmath=False)
def _shrink(rgb: Any, alpha: Any, rows: Any, columns: Any, kept: Any, outputs: Any) -> None:
    lines, numbers, spans = kept
    out_rgb, out_alpha = outputs
    first, weights = rows
    height, width = out_alpha.shape
    numbers[:] = -1
    for y in range(height):
        start, stop = width, 0
        for j in range(weights.shape[1]):
            row = first[y] + j
            if weights[y, j] > _ZERO:
                slot = row % len(numbers)
                if numbers[slot] != row:
                    _narrow(rgb, alpha, row, columns, lines[slot], spans[slot])
                    numbers[slot] = row
                start, stop = min(start, spans[slot, 0]), max(stop, spans[slot, 1])
        out_alpha[y] = _ZERO
        out_rgb[y, start:stop] = _ZERO
        for j in range(weights.shape[1]):
            weight = weights[y, j]
            if weight > _ZERO:
                line = lines[(first[y] + j) % len(numbers)]
                for x in range(start, stop):
                    for k in range(3):
                        out_rgb[y, x, k] += weight * line[x, k]
                    out_alpha[y, x] += weight * line[x, 3]
