"""RGB frames to the planes that H.264 is encoded from.

ffmpeg's own conversion took 1.0 ms of CPU per 512² frame, and twice as many bytes went through the
pipe. The readable twin of the kernel is in ``tests/unit/media/test_planes.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from talkcli.kernels.jit import helper, kernel
from talkcli.shapes import UInt8

#: Fixed-point numbers have so many fractional bits. Luma is right to .502 levels.
_BITS = 16
#: Shares of red and blue in luma (ITU-R BT.709).
_KR, _KB = 0.2126, 0.0722


def _fixed(*factors: float) -> tuple[np.int32, ...]:
    return tuple(np.int32(round(factor * (1 << _BITS))) for factor in factors)


#: Video range: 219 levels of luma above 16, 224 of chroma around 128. Chroma is taken of the sum of
#: four pixels.
_KG = 1 - _KR - _KB
_LUMA, _CHROMA = 219 / 255, 224 / 255 / 4
_Y = _fixed(_LUMA * _KR, _LUMA * _KG, _LUMA * _KB, 16.5)
_HALF_U, _HALF_V = _CHROMA / 2 / (1 - _KB), _CHROMA / 2 / (1 - _KR)
_U = _fixed(-_KR * _HALF_U, -_KG * _HALF_U, (1 - _KB) * _HALF_U, 128.5)
_V = _fixed((1 - _KR) * _HALF_V, -_KG * _HALF_V, -_KB * _HALF_V, 128.5)
_SHIFT = np.int32(_BITS)


def to_planes(frame: UInt8[np.ndarray, "h w 3"], out: UInt8[np.ndarray, " n"]) -> None:
    """Convert a frame to 4:2:0 in BT.709 and video range.

    Each chroma sample is the mean of its four pixels, so it lies in their midst.

    Args:
        frame: ``[h, w, 3]`` sRGB, contiguous, both sides even.
        out: ``[h * w * 3 / 2]``, written: Y, U, V, as ffmpeg's ``yuv420p`` has them.
    """
    height, width = frame.shape[:2]
    lines = np.empty((6, width), np.uint8)
    _to_planes(frame.reshape(-1), out, height, width, lines)


@helper
def _split(line: Any, red: Any, green: Any, blue: Any) -> None:
    for x in range(red.size):
        red[x], green[x], blue[x] = line[3 * x], line[3 * x + 1], line[3 * x + 2]


@helper
def _luma(lines: Any, out: Any) -> None:
    red, green, blue = lines
    for x in range(out.size):
        value = np.int32(red[x]) * _Y[0] + np.int32(green[x]) * _Y[1] + np.int32(blue[x]) * _Y[2]
        out[x] = (value + _Y[3]) >> _SHIFT


@helper
def _four(upper: Any, lower: Any, x: int) -> Any:
    left = np.int32(upper[2 * x]) + np.int32(lower[2 * x])
    return left + np.int32(upper[2 * x + 1]) + np.int32(lower[2 * x + 1])


@helper
def _chroma(upper: Any, lower: Any, u: Any, v: Any) -> None:
    for x in range(u.size):
        red = _four(upper[0], lower[0], x)
        green = _four(upper[1], lower[1], x)
        blue = _four(upper[2], lower[2], x)
        u[x] = (red * _U[0] + green * _U[1] + blue * _U[2] + _U[3]) >> _SHIFT
        v[x] = (red * _V[0] + green * _V[1] + blue * _V[2] + _V[3]) >> _SHIFT


# Colours are split first, one row pair at a time: what follows then runs in vectors, three times as
# fast as with three colours side by side.
@kernel
def _to_planes(frame: Any, out: Any, height: int, width: int, lines: Any) -> None:
    half = width // 2
    upper, lower = (lines[0], lines[1], lines[2]), (lines[3], lines[4], lines[5])
    for row in range(height // 2):
        first = 2 * row * width
        for split, place in ((upper, first), (lower, first + width)):
            _split(frame[3 * place : 3 * (place + width)], split[0], split[1], split[2])
            _luma(split, out[place : place + width])
        u = height * width + row * half
        v = u + height // 2 * half
        _chroma(upper, lower, out[u : u + half], out[v : v + half])
