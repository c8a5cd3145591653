"""What every walk over a tile shares: its buffer, a splat's window of pixels, and the weights.

A tile's buffer holds planes (transmittance, colours, …), each row of one beside that of the next. A
window is four columns of four rows, wherever it starts. Most splats of an avatar are four pixels
wide and high and fit into one; windows of eight columns of two rows took 1.8 times as many, and
sixteen pixels of one row four times. One path serves all sizes.

A pixel that has stopped keeps its transmittance with the sign turned; pixels outside the image
have stopped from the start.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from talkcli.kernels.jit import helper
from talkcli.kernels.memory import load
from talkcli.kernels.simd import (
    LANES,
    absolute,
    block_columns,
    block_rows,
    largest,
    maximum,
    select,
    splat,
)
from talkcli.render.cpu import layout as at
from talkcli.render.cpu.layout import BLOCK, HALF, ROW, ROWS, TILE

#: Splats between two looks at whether every pixel of the tile has stopped.
CHECK_EVERY = 64
#: Alpha is drawn down to 1/255: an eighth of -ln(alpha) up to this.
_EIGHTH_MAX = np.float32(math.log(255) / 8)
#: exp(-e) for 0 ≤ e ≤ 0.7, whose eighth power is alpha to a relative error of 1e-6. Beyond, the
#: polynomial is no exponential, but nothing is drawn there.
_nodes = np.linspace(0, 0.7, 4001)
_EXP = tuple(
    np.float32(c)
    for c in np.polynomial.Chebyshev.fit(_nodes, np.exp(-_nodes), 5)
    .convert(kind=np.polynomial.Polynomial)
    .coef
)


@helper
def raw_alpha(eighth: Any) -> Any:
    """Opacity × falloff before the clamp, from an eighth of its negative logarithm."""
    p = _EXP[5] * eighth + _EXP[4]
    p = p * eighth + _EXP[3]
    p = p * eighth + _EXP[2]
    p = p * eighth + _EXP[1]
    p = p * eighth + _EXP[0]
    p = p * p
    p = p * p
    return p * p


@helper
def weigh(eighth: Any, alpha: Any, left: Any) -> Any:
    """What a splat does to sixteen pixels.

    Returns its blend weight, the transmittance behind it (turned where it stops), and where it
    was drawn.
    """
    drawn = eighth <= _EIGHTH_MAX
    # Where nothing is drawn, ``behind`` comes out as ``left``: more than the minimum where a pixel
    # takes colour, negative where it has stopped. Selecting ``left`` itself would make LLVM store
    # through a mask, which takes some twenty cycles on AMD's AVX2 processors: drawing took 1.3
    # times as long.
    weight = select(drawn, left * alpha, 0.0)
    after = left - weight
    kept = after > at.TRANSMITTANCE_MIN
    behind = select(kept, after, -absolute(left))
    return select(kept, weight, 0.0), behind, drawn & kept


@helper
def pixel_bounds(center: Any, radius: Any, size: int) -> Any:
    """First and last pixel of a tile whose centres lie within the radius."""
    first = max(0, int(center - radius + HALF))
    return first, min(size - 1, int(center + radius - HALF))


@helper
def splat_box(records: Any, r: int, tile: Any) -> Any:
    """Centre within the tile, and first and last column and row.

    ``tile`` is left, top, columns and rows in px.
    """
    u = records[r + at.U] - np.float32(tile[0])
    v = records[r + at.V] - np.float32(tile[1])
    x0, x1 = pixel_bounds(u, records[r + at.RX], tile[2])
    y0, y1 = pixel_bounds(v, records[r + at.RY], tile[3])
    return (u, v), (x0, x1, y0, y1)


@helper
def strip_rows(records: Any, r: int, box: Any, center: Any, x: int) -> Any:
    """First and last row of a wide splat's ellipse within columns ``x`` … ``x + 3``."""
    first_dx = np.float32(x) + HALF - center[0]
    last_dx = first_dx + np.float32(BLOCK - 1)
    # The ellipse's lowest point lies at dx = lean · RY and its highest opposite; where the strip
    # does not hold them, its own border is where the ellipse reaches farthest.
    lean = -records[r + at.B] / (records[r + at.A] * np.float32(2)) * records[r + at.RY]
    highest = min(max(-lean, first_dx), last_dx)
    lowest = min(max(lean, first_dx), last_dx)
    top = center[1] - records[r + at.SLANT] * highest - _half_height(records, r, highest)
    bottom = center[1] - records[r + at.SLANT] * lowest + _half_height(records, r, lowest)
    return max(box[2], int(top + HALF)), min(box[3], int(bottom - HALF))


@helper
def _half_height(records: Any, r: int, dx: Any) -> Any:
    """Half of the ellipse's height in the column at ``dx``, with a little slack."""
    square = records[r + at.SPAN] - records[r + at.SQUEEZE] * dx * dx
    return np.float32(math.sqrt(max(square, at.F0))) + np.float32(1e-3)


@helper
def walk_windows(
    buffer: Any,
    record: Any,
    tile: Any,
    step: int,
    visit: Any,
    finish: Any,
    sums: Any,
    state: Any,
) -> Any:
    """Visit every window of a tile that a splat may touch.

    Args:
        buffer: the tile's planes.
        record: projected splats, and where the splat's record begins.
        tile: left, top, columns and rows in px.
        step: floats from one row of pixels to the next.
        visit: called with ``buffer``, the window's place in it and ``step``, an eighth of
            -ln(alpha) before the clamp, the rows' distances from the centre, the sums so far and
            ``state``; returns the sums.
        finish: called after every strip of windows under each other with the sums and the
            columns' distances; returns the sums.
        sums: to begin with; a tuple.
        state: passed on.

    Returns:
        The sums.
    """
    records, r = record
    center, box = splat_box(records, r, tile)
    x0, x1, first, last = box
    a, b, c = records[r + at.A], records[r + at.B], records[r + at.C]
    for x in range(x0, x1 + 1, BLOCK):
        if x1 - x0 >= 2 * BLOCK:
            first, last = strip_rows(records, r, box, center, x)
        dx = block_columns() + (np.float32(x) + HALF - center[0])
        dy = block_rows() + (np.float32(first) + HALF - center[1])
        b_dx, constant = b * dx, a * dx * dx + records[r + at.LEVEL]
        place = first * step + x
        for _ in range(first, last + 1, BLOCK):
            eighth = (c * dy + b_dx) * dy + constant
            sums = visit(buffer, (place, step), eighth, dy, sums, state)
            dy = dy + 4.0
            place += BLOCK * step
        sums = finish(sums, dx)
    return sums


@helper
def keep_sums(sums: Any, _dx: Any) -> Any:
    """What to do after a strip where nothing is to be done."""
    return sums


@helper
def tile_window(number: int, tiles_x: int, width: int, height: int) -> Any:
    """Left, top, columns and rows in px of a tile."""
    left, top = number % tiles_x * TILE, number // tiles_x * TILE
    return left, top, min(TILE, width - left), min(TILE, height - top)


@helper
def clear_tile(buffer: Any, planes: int, columns: int, rows: int) -> None:
    """Zero the planes; transmittance 1 inside the image and stopped outside."""
    step = planes * ROW
    for place in range(ROWS * step):
        buffer[place] = at.F0
    for y in range(ROWS):
        for x in range(ROW):
            buffer[y * step + x] = at.F1 if x < columns and y < rows else -at.F1


@helper
def all_stopped(buffer: Any, planes: int) -> Any:
    """Whether no pixel of the tile takes more colour."""
    most = splat(-1.0)
    for y in range(TILE):
        for x in range(0, TILE, LANES):
            most = maximum(most, load(buffer, y * planes * ROW + x))
    return largest(most) <= 0.0
