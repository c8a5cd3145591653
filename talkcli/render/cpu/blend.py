"""Forward blending: each tile walks its splats front to back over a buffer in the cache."""

from __future__ import annotations

from typing import Any

from talkcli.kernels.jit import helper, kernel
from talkcli.kernels.memory import (
    load,
    load_block,
    prefetch,
    store,
    store_block,
    store_columns,
    take_ticket,
)
from talkcli.kernels.simd import LANES, absolute, minimum, splat
from talkcli.render.cpu import layout as at
from talkcli.render.cpu.layout import AHEAD, RECORD, ROW, ROWS
from talkcli.render.cpu.tiles import INDEX_MASK, sort_list
from talkcli.render.cpu.walk import (
    CHECK_EVERY,
    all_stopped,
    clear_tile,
    keep_sums,
    raw_alpha,
    tile_window,
    walk_windows,
    weigh,
)

#: Transmittance and three colours come first in a tile's buffer.
BASE_PLANES = 4


@helper
def add(buffer: Any, place: int, step: int, value: Any) -> None:
    """Add sixteen values to a window of one plane."""
    store_block(buffer, place, step, load_block(buffer, place, step) + value)


@helper
def add_extras(buffer: Any, window: Any, weight: Any, extras: Any) -> None:
    """Blend depth and features into the planes behind blue."""
    if extras is not None:
        with_depth, depth, features, first, count = extras
        place, step = window
        place += BASE_PLANES * ROW
        if with_depth:
            add(buffer, place, step, weight * depth)
            place += ROW
        for k in range(first, first + count):
            add(buffer, place, step, weight * features[k])
            place += ROW


@helper
def draw_window(buffer: Any, window: Any, eighth: Any, _dy: Any, sums: Any, state: Any) -> Any:
    """Blend colours, depth and features into sixteen pixels."""
    red, green, blue, extras = state
    place, step = window
    alpha = minimum(raw_alpha(eighth), at.ALPHA_MAX)
    weight, left, _ = weigh(eighth, alpha, load_block(buffer, place, step))
    store_block(buffer, place, step, left)
    add(buffer, place + ROW, step, weight * red)
    add(buffer, place + 2 * ROW, step, weight * green)
    add(buffer, place + 3 * ROW, step, weight * blue)
    add_extras(buffer, window, weight, extras)
    return sums


@helper
def draw_splat(buffer: Any, planes: int, records: Any, r: int, tile: Any, extras: Any) -> None:
    """Blend the splat whose record begins at ``r`` into a tile, window by window."""
    red, green = splat(records[r + at.RED]), splat(records[r + at.GREEN])
    state = (red, green, splat(records[r + at.BLUE]), extras)
    walk_windows(buffer, (records, r), tile, planes * ROW, draw_window, keep_sums, (), state)


@helper
def write_run(buffer: Any, place: int, run: Any, pixel: Any, outputs: Any) -> None:
    """Write up to sixteen pixels of a row: transmittance, red, green, blue in ``run``.

    ``pixel`` is the first one's index and how many there are. ``buffer`` from ``place`` on is free.
    """
    image, alpha = outputs[0], outputs[1]
    left, red, green, blue = run
    first, count = pixel
    if count >= LANES:
        store_columns(image, first * 3, (red, green, blue))
        store(alpha, first, 1.0 - left)
        return
    store(buffer, place, 1.0 - left)
    store(buffer, place + LANES, red)
    store(buffer, place + 2 * LANES, green)
    store(buffer, place + 3 * LANES, blue)
    for i in range(count):
        alpha[first + i] = buffer[place + i]
        for k in range(3):
            image[(first + i) * 3 + k] = buffer[place + (k + 1) * LANES + i]


@helper
def write_extras(buffer: Any, place: int, pixel: Any, outputs: Any, channels: int) -> None:
    """Write depth and features of up to sixteen pixels of a row."""
    depth, features = outputs[2], outputs[3]
    first, count = pixel
    place += BASE_PLANES * ROW
    if len(depth) > 0:
        for i in range(count):
            depth[first + i] = buffer[place + i]
        place += ROW
    for k in range(channels):
        for i in range(count):
            features[(first + i) * channels + k] = buffer[place + k * ROW + i]


@helper
def flush_tile(
    buffer: Any, planes: int, tile: Any, width: int, background: Any, outputs: Any
) -> None:
    """Write a finished tile, given by left, top, columns and rows in px, into the images."""
    left_x, top, columns, rows = tile
    channels = planes - BASE_PLANES - (1 if len(outputs[2]) > 0 else 0)
    spare = ROWS * planes * ROW
    for y in range(rows):
        for x in range(0, columns, LANES):
            place = y * planes * ROW + x
            pixel = ((top + y) * width + left_x + x, min(LANES, columns - x))
            t = absolute(load(buffer, place))
            run = (
                t,
                load(buffer, place + ROW) + t * background[0],
                load(buffer, place + 2 * ROW) + t * background[1],
                load(buffer, place + 3 * ROW) + t * background[2],
            )
            write_run(buffer, spare, run, pixel, outputs)
            write_extras(buffer, place, pixel, outputs, channels)


@helper
def write_empty(tile: Any, width: int, background: Any, outputs: Any, channels: int) -> None:
    """Write the background where no splat is."""
    left_x, top, columns, rows = tile
    image, alpha, depth, features = outputs
    color = (splat(background[0]), splat(background[1]), splat(background[2]))
    for y in range(top, top + rows):
        first, last = y * width + left_x, y * width + left_x + columns
        alpha[first:last] = at.F0
        for x in range(first, last - LANES + 1, LANES):
            store_columns(image, 3 * x, color)
        for x in range(last - columns % LANES, last):
            for k in range(3):
                image[3 * x + k] = background[k]
        if len(depth) > 0:
            depth[first:last] = at.F0
        features[first * channels : last * channels] = at.F0


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
        features: ``[N F]`` extra channels, may be empty; None where no depth is wanted either,
            which compiles a leaner kernel.
        background: ``[3]``.
        outputs: image ``[H W 3]``, alpha ``[H W]``, depth ``[H W]`` or empty, features
            ``[H W F]`` or empty, all flat.
        scratch: tile buffer, spare entries, histogram; of this thread alone.
        size: image width and height, tiles per row, planes.
    """
    order, offsets, entries = lists
    buffer, spare, histogram = scratch
    width, height, tiles_x, planes = size
    with_depth = len(outputs[2]) > 0
    channels = planes - BASE_PLANES - (1 if with_depth else 0)
    while True:
        ticket = take_ticket(counter)
        if ticket >= len(order):
            break
        number = order[ticket]
        tile = tile_window(number, tiles_x, width, height)
        begin, end = offsets[number], offsets[number + 1]
        if begin == end:
            write_empty(tile, width, background, outputs, channels)
            continue
        sort_list(entries, begin, end, spare, histogram)
        clear_tile(buffer, planes, tile[2], tile[3])
        for e in range(begin, end):
            if e + AHEAD < end:
                prefetch(records, (entries[e + AHEAD] & INDEX_MASK) * RECORD)
            index = entries[e] & INDEX_MASK
            r = index * RECORD
            if features is None:
                draw_splat(buffer, planes, records, r, tile, None)
            else:
                depth = records[r + at.DEPTH]
                extras = (with_depth, depth, features, index * channels, channels)
                draw_splat(buffer, planes, records, r, tile, extras)
            if (e - begin) % CHECK_EVERY == CHECK_EVERY - 1 and all_stopped(buffer, planes):
                break
        flush_tile(buffer, planes, tile, width, background, outputs)
