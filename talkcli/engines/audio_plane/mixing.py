"""Offset shapes, mixed and added to the splats that they move: the kernel.

Its readable twin is :meth:`talkcli.engines.audio_plane.offsets.DrivenOffsets.offsets`, of which
shift and colour are added and the spread grows by the exponential of twice the logarithm of size.
The shapes of sixteen splats lie together, so that a frame reads them once, in order: 28 MB for
60,000 splats and 16 shapes, which is what it costs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from talkcli.engines.portrait.rig import flat, spread_over
from talkcli.kernels.jit import helper, kernel
from talkcli.kernels.memory import load, store
from talkcli.kernels.simd import LANES, maximum, minimum, splat
from talkcli.shapes import Float, Float32, Integer

#: Shift, logarithm of size, colour.
CHANNELS = 7
#: Sizes beyond e^±2 are no fit's.
_MOST = np.float32(4.0)
#: 1/k! of the exponential's series.
_SERIES = tuple(np.float32(1 / f) for f in (120, 24, 6, 2, 1))


def in_blocks(shapes: Float32[np.ndarray, "K m 7"]) -> Float32[np.ndarray, " floats"]:
    """The shapes as the kernel reads them: by sixteen splats, channel and shape; padded with 0."""
    count, splats, _ = shapes.shape
    padded = np.zeros((count, -(-splats // LANES) * LANES, CHANNELS), np.float32)
    padded[:, :splats] = shapes
    blocks = padded.reshape(count, padded.shape[1] // LANES, LANES, CHANNELS).transpose(1, 3, 0, 2)
    return np.ascontiguousarray(blocks).reshape(-1)


def add_mixed(
    shares: Float32[np.ndarray, " K"],
    blocks: Float32[np.ndarray, " floats"],
    index: Integer[np.ndarray, " m"],
    outputs: tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, " N"], Float[np.ndarray, "N 3"]],
) -> None:
    """Mix the shapes, and change the splats ``index`` in place.

    Args:
        shares: ``[K]`` the share of each shape.
        blocks: the shapes, from :func:`in_blocks`.
        index: ``[m]`` int32 the splats, rising.
        outputs: positions, spread and colours of all splats; float32, contiguous.
    """
    if not len(shares):
        return
    arrays = flat(*outputs)

    def work(start: int, stop: int) -> None:
        scratch = np.empty(CHANNELS * LANES, np.float32)
        _add_mixed(start, stop, shares, blocks, index, arrays, scratch)

    spread_over(work, [(0, len(index))])


@helper
def _exponential(value: Any) -> Any:
    """The exponential of ``value``, -4 to 4, to half a percent; within 1e-4 up to 2."""
    x = minimum(maximum(value, splat(-_MOST)), splat(_MOST)) * np.float32(0.25)
    series = x * _SERIES[0] + _SERIES[1]
    for k in range(2, 5):
        series = series * x + _SERIES[k]
    root = series * x + np.float32(1.0)
    square = root * root
    return square * square


@kernel
def _add_mixed(
    start: int, stop: int, shares: Any, blocks: Any, index: Any, outputs: Any, scratch: Any
) -> None:
    """Splats ``index[start]`` … ``index[stop - 1]``; see :func:`add_mixed`.

    Args:
        start: a multiple of sixteen.
        stop: end.
        shares: ``[K]``.
        blocks: flat.
        index: ``[m]`` int32.
        outputs: flat positions, spread and colours.
        scratch: ``[112]``, of this thread alone.
    """
    positions, spread, colors = outputs
    count = len(shares)
    for first in range(start, stop, LANES):
        place = first * CHANNELS * count
        for channel in range(CHANNELS):
            total = splat(0.0)
            for k in range(count):
                total = total + load(blocks, place) * shares[k]
                place += LANES
            if channel == 3:
                total = _exponential(total * np.float32(2.0))
            store(scratch, channel * LANES, total)
        for lane in range(min(LANES, stop - first)):
            splat_number = np.int64(index[first + lane])
            for k in range(3):
                positions[splat_number * 3 + k] += scratch[k * LANES + lane]
                colors[splat_number * 3 + k] += scratch[(k + 4) * LANES + lane]
            spread[splat_number] *= scratch[3 * LANES + lane]
