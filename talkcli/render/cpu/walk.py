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
from talkcli.kernels.memory import load, unpack
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


_TINY = np.float32(1e-30)


@helper
def raw_alpha(eighth: Any) -> Any:
    """Opacity × falloff before the clamp, from an eighth of its negative logarithm."""
    # Pairs first (Estrin's scheme): the chain of operations that wait for each other is shorter.
    square = eighth * eighth
    p = (_EXP[5] * eighth + _EXP[4]) * square + (_EXP[3] * eighth + _EXP[2])
    p = p * square + (_EXP[1] * eighth + _EXP[0])
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
def splat_box(records: Any, r: int, tile: Any) -> Any:
    """First and last column and row of a tile, given by left, top, columns and rows, in px."""
    x0, x1 = unpack(records, r + at.X)
    y0, y1 = unpack(records, r + at.Y)
    left, top, columns, rows = tile
    return (
        max(x0 - left, 0), min(x1 - left, columns - 1),
        max(y0 - top, 0), min(y1 - top, rows - 1),
    )  # fmt: skip


@helper
def strip_rows(records: Any, r: int, rows: Any, center: Any, x: int) -> Any:
    """First and last row, within ``rows``, of a wide splat's ellipse in columns ``x`` … ``x + 3``.

    ``center`` is the splat's within the tile.
    """
    first_dx = np.float32(x) + HALF - center[0]
    last_dx = first_dx + np.float32(BLOCK - 1)
    # The ellipse's lowest point lies at dx = lean and its highest opposite; where the strip does
    # not hold them, its own border is where the ellipse reaches farthest.
    slant, squeeze = records[r + at.SLANT], records[r + at.SQUEEZE]
    steep = squeeze * (squeeze + slant * slant)
    lean = -slant * np.float32(math.sqrt(records[r + at.SPAN] / max(steep, _TINY)))
    highest = min(max(-lean, first_dx), last_dx)
    lowest = min(max(lean, first_dx), last_dx)
    top = center[1] - slant * highest - _half_height(records, r, highest)
    bottom = center[1] - slant * lowest + _half_height(records, r, lowest)
    first = min(max(rows[0], int(top + HALF)), rows[1])
    return first, max(min(rows[1], int(bottom - HALF)), first)


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
    x, x1, first, last = splat_box(records, r, tile)
    left, top = np.float32(tile[0]), np.float32(tile[1])
    u, v = records[r + at.U] - left, records[r + at.V] - top
    a, b, c = records[r + at.A], records[r + at.B], records[r + at.C]
    rows, wide = (first, last), x1 - x >= 2 * BLOCK
    # Loops that end with their test: most splats need one window, hardly any none.
    while True:
        if wide:
            first, last = strip_rows(records, r, rows, (u, v), x)
        dx = block_columns() + (np.float32(x) + HALF - u)
        dy = block_rows() + (np.float32(first) + HALF - v)
        b_dx, constant = b * dx, a * dx * dx + records[r + at.LEVEL]
        place, y = first * step + x, first
        while True:
            eighth = (c * dy + b_dx) * dy + constant
            sums = visit(buffer, (place, step), eighth, dy, sums, state)
            y += BLOCK
            if y > last:
                break
            dy = dy + 4.0
            place += BLOCK * step
        sums = finish(sums, dx)
        x += BLOCK
        if x > x1:
            break
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
        for x in range(y * step, y * step + ROW):
            buffer[x] = -at.F1
    for y in range(rows):
        for x in range(y * step, y * step + columns):
            buffer[x] = at.F1


@helper
def all_stopped(buffer: Any, planes: int) -> Any:
    """Whether no pixel of the tile takes more colour."""
    most = splat(-1.0)
    for y in range(TILE):
        for x in range(0, TILE, LANES):
            most = maximum(most, load(buffer, y * planes * ROW + x))
    return largest(most) <= 0.0
