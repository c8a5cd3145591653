"""Backward blending: the forward walk again, front to back, gathering each splat's gradients.

Going front to back needs no list of where pixels stopped: with the finished image at hand, what
lies behind a splat is what is left of image · gradient once the splats up to it are taken off, one
plane for any number of channels. Every list entry has a slot of its own, numbered in the order of
the splats, so nothing is added atomically and no result depends on the number of threads.
"""

from __future__ import annotations

from typing import Any

from talkcli.kernels.jit import helper, kernel
from talkcli.kernels.memory import (
    column_sums,
    load,
    load_block,
    load_columns,
    prefetch,
    prefetch_for_writing,
    store,
    store_block,
    store_first,
    take_ticket,
)
from talkcli.kernels.simd import (
    LANES,
    absolute,
    minimum,
    select,
    splat,
)
from talkcli.render.cpu import layout as at
from talkcli.render.cpu.layout import AHEAD, GRADIENTS, RECORD, ROW, ROWS, TILE
from talkcli.render.cpu.tiles import INDEX_MASK, entry_slot
from talkcli.render.cpu.walk import (
    CHECK_EVERY,
    all_stopped,
    clear_tile,
    raw_alpha,
    tile_window,
    walk_windows,
    weigh,
)

#: Planes of a tile: transmittance, what is left of image · gradient, gradients of red, green and
#: blue; then those of depth and features.
BASE_PLANES = 5
_LEFT = ROW
_COLORS = 2 * ROW
_EXTRAS = BASE_PLANES * ROW


@helper
def _load_pixels(image: Any, pixel: Any, spare: Any) -> Any:
    """Three channels of up to sixteen pixels of a row, zero beyond the last one."""
    first, count = pixel
    if count >= LANES:
        return load_columns(image, first * 3, 3)
    for i in range(3 * LANES):
        spare[i] = image[first * 3 + i] if i < count * 3 else at.F0
    return load_columns(spare, 0, 3)


@helper
def _load_plane(image: Any, pixel: Any, spare: Any) -> Any:
    """One channel of up to sixteen pixels of a row, zero beyond the last one."""
    first, count = pixel
    if count >= LANES:
        return load(image, first)
    for i in range(LANES):
        spare[i] = image[first + i] if i < count else at.F0
    return load(spare, 0)


@helper
def _fetch_row(pixel: Any, images: Any, gradients: Any, spare: Any) -> Any:
    """Remainder and colour gradients of up to sixteen pixels of a row."""
    red, green, blue = _load_pixels(images[0], pixel, spare)
    to_red, to_green, to_blue = _load_pixels(gradients[0], pixel, spare)
    covered = 1.0 - _load_plane(images[1], pixel, spare)
    to_alpha = _load_plane(gradients[1], pixel, spare)
    remainder = red * to_red + green * to_green + blue * to_blue - covered * to_alpha
    return remainder, to_red, to_green, to_blue


@helper
def _fetch_tile(
    buffer: Any, planes: int, tile: Any, width: int, images: Any, gradients: Any, spare: Any
) -> None:
    """Set the planes of a tile, given by left, top, columns and rows in px."""
    left_x, top, columns, rows = tile
    clear_tile(buffer, planes, columns, rows)
    for y in range(rows):
        for x in range(0, columns, LANES):
            place = y * planes * ROW + x
            pixel = ((top + y) * width + left_x + x, min(LANES, columns - x))
            remainder, red, green, blue = _fetch_row(pixel, images, gradients, spare)
            store(buffer, place + _LEFT, remainder)
            store(buffer, place + _COLORS, red)
            store(buffer, place + _COLORS + ROW, green)
            store(buffer, place + _COLORS + 2 * ROW, blue)


@helper
def _extras(planes: int, images: Any) -> Any:
    """Whether depth is among the planes, and how many feature channels are."""
    with_depth = len(images[2]) > 0
    return with_depth, planes - BASE_PLANES - (1 if with_depth else 0)


@helper
def _fetch_extras(
    buffer: Any, planes: int, tile: Any, width: int, images: Any, gradients: Any
) -> None:
    """Gradients of depth and features into their planes, their share into the remainder."""
    left_x, top, columns, rows = tile
    with_depth, channels = _extras(planes, images)
    for y in range(rows):
        for x in range(columns):
            place = y * planes * ROW + x
            pixel = (top + y) * width + left_x + x
            remainder = buffer[place + _LEFT]
            target = place + _EXTRAS
            if with_depth:
                buffer[target] = gradients[2][pixel]
                remainder += images[2][pixel] * gradients[2][pixel]
                target += ROW
            for k in range(pixel * channels, (pixel + 1) * channels):
                buffer[target] = gradients[3][k]
                remainder += images[3][k] * gradients[3][k]
                target += ROW
            buffer[place + _LEFT] = remainder


@helper
def _add_extras(buffer: Any, window: Any, weight: Any, extras: Any) -> Any:
    """Sum depth's and features' gradients; returns values · gradients for the pixels."""
    shares = splat(0.0)
    if extras is not None:
        with_depth, depth, features, first, count, sums = extras
        place, step = window
        place += _EXTRAS
        if with_depth:
            gradient = load_block(buffer, place, step)
            shares = shares + gradient * depth
            store(sums, 0, load(sums, 0) + weight * gradient)
            place += ROW
        for k in range(count):
            gradient = load_block(buffer, place, step)
            shares = shares + gradient * features[first + k]
            store(sums, (k + 1) * LANES, load(sums, (k + 1) * LANES) + weight * gradient)
            place += ROW
    return shares


@helper
def _differentiate_window(
    buffer: Any, window: Any, eighth: Any, dy: Any, sums: Any, state: Any
) -> Any:
    """Add the gradients of sixteen pixels to the sums."""
    strip, to_colors, totals = sums
    red, green, blue, extras = state
    place, step = window
    raw = raw_alpha(eighth)
    alpha = minimum(raw, at.ALPHA_MAX)
    left = load_block(buffer, place, step)
    weight, behind, kept = weigh(eighth, alpha, left)
    store_block(buffer, place, step, behind)
    grad_red = load_block(buffer, place + _COLORS, step)
    grad_green = load_block(buffer, place + _COLORS + ROW, step)
    grad_blue = load_block(buffer, place + _COLORS + 2 * ROW, step)
    shares = red * grad_red + green * grad_green + blue * grad_blue
    shares = shares + _add_extras(buffer, window, weight, extras)
    remainder = load_block(buffer, place + _LEFT, step) - weight * shares
    store_block(buffer, place + _LEFT, step, remainder)
    to_alpha = left * shares - remainder / (1.0 - alpha)
    # A clamped alpha does not move with the splat.
    slope = select(kept & (raw <= at.ALPHA_MAX), raw * to_alpha, 0.0)
    slope_y = slope * dy
    strip = (strip[0] + slope, strip[1] + slope_y, strip[2] + slope_y * dy)
    to_colors = (
        to_colors[0] + weight * grad_red,
        to_colors[1] + weight * grad_green,
        to_colors[2] + weight * grad_blue,
    )
    return strip, to_colors, totals


@helper
def _finish_strip(sums: Any, dx: Any) -> Any:
    """Fold a strip's sums into the moments: dx is the same all the way down a strip."""
    (strip, strip_y, strip_yy), to_colors, (s, sx, sy, sxx, sxy, syy) = sums
    strip_x, zero = strip * dx, splat(0.0)
    sxx, sxy, syy = sxx + strip_x * dx, sxy + strip_y * dx, syy + strip_yy
    return (zero, zero, zero), to_colors, (s + strip, sx + strip_x, sy + strip_y, sxx, sxy, syy)


@helper
def _splat_gradients(buffer: Any, planes: int, records: Any, r: int, tile: Any, extras: Any) -> Any:
    """Sums over one tile for the splat whose record begins at ``r``, as nine vectors.

    With s = -dL/d(sigma) per pixel: Σs, Σs·dx, Σs·dy, Σs·dx², Σs·dx·dy, Σs·dy², and the gradients
    of the three colours.
    """
    zero = splat(0.0)
    red, green = splat(records[r + at.RED]), splat(records[r + at.GREEN])
    state = (red, green, splat(records[r + at.BLUE]), extras)
    triple = (zero, zero, zero)
    sums = (triple, triple, (zero, zero, zero, zero, zero, zero))
    visit, finish, step = _differentiate_window, _finish_strip, planes * ROW
    sums = walk_windows(buffer, (records, r), tile, step, visit, finish, sums, state)
    _, to_colors, moments = sums
    return *moments, *to_colors


@helper
def _store_extras(sums: Any, slot: int, feature_slots: Any, extras: Any) -> Any:
    """Write the feature gradients of an entry; returns depth's. Clears the sums."""
    to_depth = splat(0.0)
    if extras is not None:
        to_depth = load(sums, 0)
        store(sums, 0, splat(0.0))
        count = extras[4]
        for k in range(count):
            total = at.F0
            for lane in range(LANES):
                total += sums[(k + 1) * LANES + lane]
            feature_slots[slot * count + k] = total
            store(sums, (k + 1) * LANES, splat(0.0))
    return to_depth


@helper
def _write_slot(slots: Any, slot: int, sums: Any, to_depth: Any) -> None:
    zero = splat(0.0)
    s, sx, sy, sxx, sxy, syy, red, green, blue = sums
    columns = (
        s, sx, sy, sxx, sxy, syy, red, green, blue, to_depth, zero, zero, zero, zero, zero, zero,
    )  # fmt: skip
    store(slots, slot * GRADIENTS, column_sums(columns))


@helper
def _clear_slots(begin: int, end: int, tile: Any, lists: Any, projected: Any, slots: Any) -> None:
    """Zero the slots of entries that no pixel of a stopped tile sees."""
    entries, (_, rects, numbers), (main, features, channels) = lists[2], projected, slots
    for e in range(begin, end):
        slot = entry_slot(numbers, rects, entries[e] & INDEX_MASK, tile[0], tile[1])
        store(main, slot * GRADIENTS, splat(0.0))
        for k in range(slot * channels, (slot + 1) * channels):
            features[k] = at.F0


@helper
def _sum_behind(buffer: Any, planes: int) -> Any:
    """Sums of transmittance × colour gradient over a walked tile: what the background gets."""
    red, green, blue = splat(0.0), splat(0.0), splat(0.0)
    for y in range(TILE):
        for x in range(0, TILE, LANES):
            place = y * planes * ROW + x
            left = absolute(load(buffer, place))
            red = red + left * load(buffer, place + _COLORS)
            green = green + left * load(buffer, place + _COLORS + ROW)
            blue = blue + left * load(buffer, place + _COLORS + 2 * ROW)
    return red, green, blue, splat(0.0)


@kernel
def blend_backward(
    counter: Any, lists: Any, projected: Any, features: Any, pixels: Any, slots: Any,
    scratch: Any, size: Any,
) -> None:  # fmt: skip
    """Walk tiles until none is left and write the gradients of every entry into its slot.

    Args:
        counter: ``[1]`` int64 ticket machine over the tiles.
        lists: tile order, list offsets and entries, sorted by the forward pass.
        projected: of :meth:`talkcli.render.cpu.raster.Frame.projected`.
        features: as for :func:`talkcli.render.cpu.blend.blend`.
        pixels: the forward pass's outputs, and their gradients in the same shapes.
        slots: ``[16 M]`` and ``[M F]``, written throughout; and ``[4 tiles]``, set to each tile's
            share in the background's gradient and a zero.
        scratch: tile buffer and room for sums of depth and features; of this thread alone.
        size: image width and height, tiles per row, planes.
    """
    order, offsets, entries = lists
    records, rects, numbers = projected
    buffer, sums = scratch
    images, gradients = pixels
    width, height, tiles_x, planes = size
    with_depth, channels = _extras(planes, images)
    sums[:] = at.F0
    spare = buffer[ROWS * planes * ROW :]
    while True:
        ticket = take_ticket(counter)
        if ticket >= len(order):
            break
        number = order[ticket]
        begin, end = offsets[number], offsets[number + 1]
        tile = tile_window(number, tiles_x, width, height)
        _fetch_tile(buffer, planes, tile, width, images, gradients, spare)
        if features is not None:
            _fetch_extras(buffer, planes, tile, width, images, gradients)
        for e in range(begin, end):
            if e + AHEAD < end:
                prefetch(records, (entries[e + AHEAD] & INDEX_MASK) * RECORD)
                prefetch(rects, (entries[e + AHEAD] & INDEX_MASK) * 4)
            if e + AHEAD // 2 < end:
                later = entries[e + AHEAD // 2] & INDEX_MASK
                slot = entry_slot(numbers, rects, later, number, tiles_x)
                prefetch_for_writing(slots[0], slot * GRADIENTS)
            index = entries[e] & INDEX_MASK
            slot = entry_slot(numbers, rects, index, number, tiles_x)
            r = index * RECORD
            if features is None:
                totals = _splat_gradients(buffer, planes, records, r, tile, None)
                _write_slot(slots[0], slot, totals, splat(0.0))
            else:
                depth = records[r + at.DEPTH]
                extras = (with_depth, depth, features, index * channels, channels, sums)
                totals = _splat_gradients(buffer, planes, records, r, tile, extras)
                to_depth = _store_extras(sums, slot, slots[1], extras)
                _write_slot(slots[0], slot, totals, to_depth)
            if (e - begin) % CHECK_EVERY == CHECK_EVERY - 1 and all_stopped(buffer, planes):
                unseen = (slots[0], slots[1], channels)
                _clear_slots(e + 1, end, (number, tiles_x), lists, projected, unseen)
                break
        store_first(slots[2], number * 4, column_sums(_sum_behind(buffer, planes)), 4)
