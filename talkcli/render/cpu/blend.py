"""Forward blending: each tile walks its splats front to back over row buffers in the cache.

A tile's state is a row-major block whose rows hold one plane after another: transmittance, red,
green, blue, then depth and features where asked for. A pixel that has stopped keeps its
transmittance with the sign turned, so one plane carries both. Splats up to eight pixels wide, the
bulk of any avatar, are drawn two rows at a time (eight lanes each), which halves the arithmetic
and lets most accesses stay within one cache line; up to sixteen wide, one row at a time; wider
ones by the exact span of each row.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from talkcli.render.cpu import layout as at
from talkcli.render.cpu.jit import helper, kernel
from talkcli.render.cpu.layout import AHEAD, HALF, RECORD, ROWS, STRIDE, TILE
from talkcli.render.cpu.memory import (
    load,
    load_pair,
    prefetch,
    store,
    store_columns,
    store_pair,
    take_ticket,
)
from talkcli.render.cpu.simd import (
    LANES,
    absolute,
    lane_numbers,
    largest,
    maximum,
    minimum,
    pair_columns,
    pair_rows,
    select,
    splat,
)
from talkcli.render.cpu.tiles import INDEX_MASK, sort_list

#: Splats between two looks at whether every pixel of the tile has stopped.
CHECK_EVERY = 64
#: exp(-s) for 0 ≤ s ≤ 5.6 as the eighth power of a polynomial in s/8, relative error 1e-6. At the
#: upper end it is 0.0037, under 1/255: beyond, a splat of opacity 1 is not drawn anyway.
_SIGMA_MAX = np.float32(5.6)
_nodes = np.linspace(0, 0.7, 4001)
_EXP = tuple(
    np.float32(c)
    for c in np.polynomial.Chebyshev.fit(_nodes, np.exp(-_nodes), 5)
    .convert(kind=np.polynomial.Polynomial)
    .coef
)


@helper
def falloff(sigma: Any) -> Any:
    """exp(-sigma) for sigma up to 5.6, and no less than exp(-5.6) beyond."""
    s = minimum(sigma, _SIGMA_MAX) * 0.125
    p = _EXP[5] * s + _EXP[4]
    p = p * s + _EXP[3]
    p = p * s + _EXP[2]
    p = p * s + _EXP[1]
    p = p * s + _EXP[0]
    p = p * p
    p = p * p
    return p * p


@helper
def weigh(alpha: Any, left: Any) -> Any:
    """The blend weight of a splat, and the transmittance behind it (turned when it stops)."""
    after = left - left * alpha
    drawn = alpha >= at.ALPHA_MIN
    kept = drawn & (after > at.TRANSMITTANCE_MIN)
    weight = select(kept, alpha * left, 0.0)
    return weight, select(kept, after, select(drawn, -absolute(left), left))


@helper
def pixel_bounds(center: Any, radius: Any, size: int) -> Any:
    """First and last pixel of a tile whose centres lie within the radius."""
    first = max(0, int(center - radius + HALF))
    return first, min(size - 1, int(center + radius - HALF))


@helper
def row_span(records: Any, r: int, box: Any, u: Any, dy: Any) -> Any:
    """First and last pixel of one row inside the ellipse of a splat wider than a window."""
    square = records[r + at.SPAN] - records[r + at.SQUEEZE] * dy * dy
    if square <= at.F0:
        return 0, -1
    half_span = np.float32(math.sqrt(square)) + np.float32(1e-3)
    middle = u - records[r + at.SLANT] * dy
    return max(box[0], int(middle - half_span + HALF)), min(box[1], int(middle + half_span - HALF))


@helper
def clear_tile(buffer: Any, planes: int, height: int, width: int) -> None:
    """Zero the planes; transmittance 1 inside the image and stopped outside."""
    row = planes * STRIDE
    for i in range(0, ROWS * row, LANES):
        store(buffer, i, splat(0.0))
    for y in range(ROWS):
        inside = width if y < height else 0
        for x in range(0, STRIDE, LANES):
            alive = lane_numbers() + np.float32(x) < np.float32(inside)
            store(buffer, y * row + x, select(alive, 1.0, -1.0))


@helper
def all_stopped(buffer: Any, row: int, height: int) -> Any:
    """Whether no pixel of the tile takes more colour."""
    most = splat(-1.0)
    for y in range(height):
        for x in range(0, TILE, LANES):
            most = maximum(most, load(buffer, y * row + x))
    return largest(most) <= 0.0


@helper
def add_extras(buffer: Any, place: int, weight: Any, values: Any) -> None:
    """Blend depth and features into the planes behind blue, one row of sixteen."""
    depth, features, first, count = values
    place += 4 * STRIDE
    if depth >= 0.0:
        store(buffer, place, load(buffer, place) + weight * depth)
        place += STRIDE
    for k in range(first, first + count):
        store(buffer, place, load(buffer, place) + weight * features[k])
        place += STRIDE


@helper
def add_extras_pair(buffer: Any, place: int, row: int, weight: Any, values: Any) -> None:
    """As :func:`add_extras` for two half rows."""
    depth, features, first, count = values
    place += 4 * STRIDE
    if depth >= 0.0:
        old = load_pair(buffer, place, place + row)
        store_pair(buffer, place, place + row, old + weight * depth)
        place += STRIDE
    for k in range(first, first + count):
        old = load_pair(buffer, place, place + row)
        store_pair(buffer, place, place + row, old + weight * features[k])
        place += STRIDE


@helper
def draw_rows(
    buffer: Any, row: int, records: Any, r: int, box: Any, center: Any, values: Any
) -> None:
    """Draw a splat of more than eight columns, row by row.

    ``r`` is where its record begins, ``box`` its first and last column and row within the tile,
    ``center`` its u and v relative to the tile, ``values`` what :func:`add_extras` takes.
    """
    x0, x1, y0, y1 = box
    u, v = center
    a, b, c = records[r + at.A], records[r + at.B], records[r + at.C]
    opacity = records[r + at.OPACITY]
    red, green, blue = records[r + at.RED], records[r + at.GREEN], records[r + at.BLUE]
    wide = x1 - x0 >= LANES
    for y in range(y0, y1 + 1):
        dy = np.float32(y) + HALF - v
        first, last = x0, x1
        if wide:
            first, last = row_span(records, r, box, u, dy)
        for x in range(first, last + 1, LANES):
            dx = lane_numbers() + (np.float32(x) + HALF - u)
            sigma = (a * dx + b * dy) * dx + c * dy * dy
            place = y * row + x
            alpha = minimum(opacity * falloff(sigma), at.ALPHA_MAX)
            weight, left = weigh(alpha, load(buffer, place))
            store(buffer, place, left)
            place_r, place_g, place_b = place + STRIDE, place + 2 * STRIDE, place + 3 * STRIDE
            store(buffer, place_r, load(buffer, place_r) + weight * red)
            store(buffer, place_g, load(buffer, place_g) + weight * green)
            store(buffer, place_b, load(buffer, place_b) + weight * blue)
            add_extras(buffer, place, weight, values)


@helper
def draw_row_pairs(
    buffer: Any, row: int, records: Any, r: int, box: Any, center: Any, values: Any
) -> None:
    """Draw a splat of up to eight columns, two rows at a time. Arguments as :func:`draw_rows`."""
    x0, _, y0, y1 = box
    u, v = center
    red, green, blue = records[r + at.RED], records[r + at.GREEN], records[r + at.BLUE]
    dx = pair_columns() + (np.float32(x0) + HALF - u)
    dy = pair_rows() + (np.float32(y0) + HALF - v)
    a_dx2, b_dx = records[r + at.A] * dx * dx, records[r + at.B] * dx
    c, opacity = splat(records[r + at.C]), splat(records[r + at.OPACITY])
    for low in range(y0 * row + x0, (y1 + 1) * row, 2 * row):
        high = low + row
        alpha = minimum(opacity * falloff((c * dy + b_dx) * dy + a_dx2), at.ALPHA_MAX)
        weight, left = weigh(alpha, load_pair(buffer, low, high))
        store_pair(buffer, low, high, left)
        low_r, low_g, low_b = low + STRIDE, low + 2 * STRIDE, low + 3 * STRIDE
        high_r, high_g, high_b = high + STRIDE, high + 2 * STRIDE, high + 3 * STRIDE
        store_pair(buffer, low_r, high_r, load_pair(buffer, low_r, high_r) + weight * red)
        store_pair(buffer, low_g, high_g, load_pair(buffer, low_g, high_g) + weight * green)
        store_pair(buffer, low_b, high_b, load_pair(buffer, low_b, high_b) + weight * blue)
        add_extras_pair(buffer, low, row, weight, values)
        dy = dy + 2.0


@helper
def flush_tile(
    buffer: Any, planes: int, tile: Any, width: int, background: Any, outputs: Any
) -> None:
    """Write a finished tile, given by left, top, columns and rows in px, into the images."""
    image, alpha, depth, features = outputs
    left_x, top, columns, rows = tile
    row = planes * STRIDE
    feature_plane = 5 if len(depth) > 0 else 4
    channels = planes - feature_plane
    for y in range(rows):
        for x in range(0, columns, LANES):
            place = y * row + x
            pixel = (top + y) * width + left_x + x
            left = absolute(load(buffer, place))
            red = load(buffer, place + STRIDE) + left * background[0]
            green = load(buffer, place + 2 * STRIDE) + left * background[1]
            blue = load(buffer, place + 3 * STRIDE) + left * background[2]
            if x + LANES <= columns:
                store_columns(image, pixel * 3, (red, green, blue))
                store(alpha, pixel, 1.0 - left)
            else:
                store(buffer, place, 1.0 - left)
                store(buffer, place + STRIDE, red)
                store(buffer, place + 2 * STRIDE, green)
                store(buffer, place + 3 * STRIDE, blue)
                for i in range(columns - x):
                    alpha[pixel + i] = buffer[place + i]
                    for k in range(3):
                        image[(pixel + i) * 3 + k] = buffer[place + (k + 1) * STRIDE + i]
            for i in range(min(LANES, columns - x)):
                if len(depth) > 0:
                    depth[pixel + i] = buffer[place + 4 * STRIDE + i]
                for k in range(channels):
                    value = buffer[place + (feature_plane + k) * STRIDE + i]
                    features[(pixel + i) * channels + k] = value


@kernel
def blend(
    counter: Any, lists: Any, records: Any, features: Any, background: Any, outputs: Any,
    scratch: Any, size: Any,
) -> None:  # fmt: skip
    """Draw tiles until none is left; several threads share ``counter``.

    Args:
        counter: ``[1]`` int64 ticket machine over the tiles.
        lists: tile order, list offsets and entries of :mod:`talkcli.render.cpu.tiles`; each list
            is sorted here.
        records: ``[16 N]`` projected splats.
        features: ``[N F]`` extra channels, may be empty.
        background: ``[3]``.
        outputs: image ``[H W 3]``, alpha ``[H W]``, depth ``[H W]`` or empty, features
            ``[H W F]`` or empty, all flat.
        scratch: tile buffer, spare entries, histogram; of this thread alone.
        size: image width and height, tiles per row, planes.
    """
    order, offsets, entries = lists
    buffer, spare, histogram = scratch
    width, height, tiles_x, planes = size
    row = planes * STRIDE
    with_depth = len(outputs[2]) > 0
    channels = planes - 5 if with_depth else planes - 4
    while True:
        ticket = take_ticket(counter)
        if ticket >= len(order):
            break
        tile = order[ticket]
        left_x, top = tile % tiles_x * TILE, tile // tiles_x * TILE
        columns, rows = min(TILE, width - left_x), min(TILE, height - top)
        begin, end = offsets[tile], offsets[tile + 1]
        sort_list(entries, begin, end, spare, histogram)
        clear_tile(buffer, planes, rows, columns)
        for e in range(begin, end):
            if e + AHEAD < end:
                prefetch(records, (entries[e + AHEAD] & INDEX_MASK) * RECORD)
            index = entries[e] & INDEX_MASK
            r = index * RECORD
            u = records[r + at.U] - np.float32(left_x)
            v = records[r + at.V] - np.float32(top)
            x0, x1 = pixel_bounds(u, records[r + at.RX], columns)
            y0, y1 = pixel_bounds(v, records[r + at.RY], rows)
            depth = records[r + at.DEPTH] if with_depth else np.float32(-1)
            values = (depth, features, index * channels, channels)
            if x1 - x0 < LANES // 2:
                draw_row_pairs(buffer, row, records, r, (x0, x1, y0, y1), (u, v), values)
            else:
                draw_rows(buffer, row, records, r, (x0, x1, y0, y1), (u, v), values)
            if (e - begin) % CHECK_EVERY == CHECK_EVERY - 1 and all_stopped(buffer, row, rows):
                break
        flush_tile(buffer, planes, (left_x, top, columns, rows), width, background, outputs)
