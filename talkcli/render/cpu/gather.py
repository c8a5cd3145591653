"""Back-projection: what each splat sees of an image, with the weights it was blended with."""

from __future__ import annotations

from typing import Any

import numpy as np

from talkcli.render.cpu import jit, pool
from talkcli.render.cpu import layout as at
from talkcli.render.cpu.blend import (
    CHECK_EVERY,
    all_stopped,
    clear_tile,
    falloff,
    pixel_bounds,
    row_span,
    weigh,
)
from talkcli.render.cpu.jit import helper, kernel
from talkcli.render.cpu.layout import AHEAD, HALF, RECORD, STRIDE, TILE
from talkcli.render.cpu.memory import (
    column_sums,
    load,
    load_pair,
    prefetch,
    store,
    store_first,
    store_pair,
    take_ticket,
)
from talkcli.render.cpu.raster import (
    NOTHING,
    Frame,
    Splats,
    Workspace,
    flat,
    pack_camera,
    prepare,
    tile_scratch,
)
from talkcli.render.cpu.simd import LANES, lane_numbers, minimum, pair_columns, pair_rows, splat
from talkcli.render.cpu.tiles import INDEX_MASK, entry_slot, sort_list

#: Image channels gathered in one walk, and the floats per list entry: the channels and the weight.
_CHANNELS = 3
_SLOT = 4
#: Transmittance and the image's channels.
_PLANES = 1 + _CHANNELS


@helper
def _gather_pairs(buffer: Any, row: int, records: Any, r: int, box: Any, center: Any) -> Any:
    x0, _, y0, y1 = box
    u, v = center
    dx = pair_columns() + (np.float32(x0) + HALF - u)
    dy = pair_rows() + (np.float32(y0) + HALF - v)
    a_dx2, b_dx = records[r + at.A] * dx * dx, records[r + at.B] * dx
    c, opacity = splat(records[r + at.C]), splat(records[r + at.OPACITY])
    sum0, sum1, sum2, total = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    for low in range(y0 * row + x0, (y1 + 1) * row, 2 * row):
        high = low + row
        alpha = minimum(opacity * falloff((c * dy + b_dx) * dy + a_dx2), at.ALPHA_MAX)
        weight, left = weigh(alpha, load_pair(buffer, low, high))
        store_pair(buffer, low, high, left)
        sum0 = sum0 + weight * load_pair(buffer, low + STRIDE, high + STRIDE)
        sum1 = sum1 + weight * load_pair(buffer, low + 2 * STRIDE, high + 2 * STRIDE)
        sum2 = sum2 + weight * load_pair(buffer, low + 3 * STRIDE, high + 3 * STRIDE)
        total = total + weight
        dy = dy + 2.0
    return sum0, sum1, sum2, total


@helper
def _gather_rows(buffer: Any, row: int, records: Any, r: int, box: Any, center: Any) -> Any:
    x0, x1, y0, y1 = box
    u, v = center
    a, b, c = records[r + at.A], records[r + at.B], records[r + at.C]
    opacity = records[r + at.OPACITY]
    wide = x1 - x0 >= LANES
    sum0, sum1, sum2, total = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    for y in range(y0, y1 + 1):
        dy = np.float32(y) + HALF - v
        first, last = x0, x1
        if wide:
            first, last = row_span(records, r, box, u, dy)
        for x in range(first, last + 1, LANES):
            dx = lane_numbers() + (np.float32(x) + HALF - u)
            place = y * row + x
            alpha = minimum(opacity * falloff((a * dx + b * dy) * dx + c * dy * dy), at.ALPHA_MAX)
            weight, left = weigh(alpha, load(buffer, place))
            store(buffer, place, left)
            sum0 = sum0 + weight * load(buffer, place + STRIDE)
            sum1 = sum1 + weight * load(buffer, place + 2 * STRIDE)
            sum2 = sum2 + weight * load(buffer, place + 3 * STRIDE)
            total = total + weight
    return sum0, sum1, sum2, total


@helper
def _fetch_image(buffer: Any, image: Any, tile: Any, width: int, planes: Any) -> None:
    """Copy a tile of three channels of a flat ``[H, W, C]`` image into the planes."""
    left_x, top, columns, rows = tile
    first, channels = planes
    for y in range(rows):
        for x in range(columns):
            pixel = ((top + y) * width + left_x + x) * channels
            for k in range(min(_CHANNELS, channels - first)):
                buffer[y * _PLANES * STRIDE + (k + 1) * STRIDE + x] = image[pixel + first + k]


@kernel
def gather(
    counter: Any, lists: Any, projected: Any, image: Any, slots: Any, scratch: Any, size: Any,
    planes: Any,
) -> None:  # fmt: skip
    """Walk tiles until none is left and write each entry's weighted sums into its slot.

    Args:
        counter: ``[1]`` int64 ticket machine over the tiles.
        lists: tile order, list offsets and entries; each list is sorted here.
        projected: records ``[16 N]`` with their slots numbered, and rects ``[4 N]``.
        image: flat ``[H W C]``.
        slots: ``[4 M]``, zero where a splat gets no pixel of a tile.
        scratch: tile buffer, spare entries, histogram; of this thread alone.
        size: image width and height, tiles per row.
        planes: first channel to gather and number of channels of the image.
    """
    order, offsets, entries = lists
    buffer, spare, histogram = scratch
    records, rects = projected
    width, height, tiles_x = size
    row = _PLANES * STRIDE
    numbers = records.view(np.int32)
    while True:
        ticket = take_ticket(counter)
        if ticket >= len(order):
            break
        tile = order[ticket]
        left_x, top = tile % tiles_x * TILE, tile // tiles_x * TILE
        columns, rows = min(TILE, width - left_x), min(TILE, height - top)
        begin, end = offsets[tile], offsets[tile + 1]
        sort_list(entries, begin, end, spare, histogram)
        clear_tile(buffer, _PLANES, rows, columns)
        _fetch_image(buffer, image, (left_x, top, columns, rows), width, planes)
        for e in range(begin, end):
            if e + AHEAD < end:
                prefetch(records, (entries[e + AHEAD] & INDEX_MASK) * RECORD)
                prefetch(rects, (entries[e + AHEAD] & INDEX_MASK) * 4)
            index = entries[e] & INDEX_MASK
            r = index * RECORD
            u = records[r + at.U] - np.float32(left_x)
            v = records[r + at.V] - np.float32(top)
            x0, x1 = pixel_bounds(u, records[r + at.RX], columns)
            y0, y1 = pixel_bounds(v, records[r + at.RY], rows)
            box, center = (x0, x1, y0, y1), (u, v)
            if x1 - x0 < LANES // 2:
                sums = _gather_pairs(buffer, row, records, r, box, center)
            else:
                sums = _gather_rows(buffer, row, records, r, box, center)
            slot = entry_slot(numbers, rects, index, tile, tiles_x)
            store_first(slots, slot * _SLOT, column_sums(sums), _SLOT)
            if (e - begin) % CHECK_EVERY == CHECK_EVERY - 1 and all_stopped(buffer, row, rows):
                break


@kernel
def collect(span: Any, projected: Any, slots: Any, planes: Any, sums: Any, weights: Any) -> None:
    """Add up the slots of splats ``span[0]`` … ``span[1]``, always in the same order.

    Args:
        span: begin and end.
        projected: records and rects as for :func:`gather`.
        slots: ``[4 M]`` of :func:`gather`.
        planes: first channel that was gathered and number of channels of the image.
        sums: ``[N C]``; these channels are set.
        weights: ``[N]``, set.
    """
    records, rects = projected
    numbers = records.view(np.int32)
    first, channels = planes
    for i in range(span[0], span[1]):
        columns, rows = rects[4 * i + 2] - rects[4 * i], rects[4 * i + 3] - rects[4 * i + 1]
        entries = max(columns, 0) * max(rows, 0)
        begin = numbers[i * RECORD + at.SLOT] * _SLOT if entries > 0 else 0
        total = at.F0
        for place in range(begin, begin + entries * _SLOT, _SLOT):
            total += slots[place + _CHANNELS]
        weights[i] = total
        for k in range(min(_CHANNELS, channels - first)):
            total = at.F0
            for place in range(begin, begin + entries * _SLOT, _SLOT):
                total += slots[place + k]
            sums[i * channels + first + k] = total


def backproject(  # noqa: PLR0913  (the arguments of rasterize and one image)
    means: np.ndarray,
    covars: np.ndarray,
    opacities: np.ndarray,
    image: np.ndarray,
    viewmat: np.ndarray,
    K: np.ndarray,
    workspace: Workspace | None = None,
    *,
    eps2d: float = 0.3,
    threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """For each splat, sums over the pixels of weight × image and of weight alone.

    The weight is the one with which :func:`talkcli.render.cpu.rasterize` blends the splat into the
    pixel (alpha × transmittance). With the residual of a rendering as ``image``, num / den is the
    colour correction that a SIRT step spreads back; num itself is the gradient of the image's
    scalar product with the rendering, towards the colours.

    Args:
        means: ``[N, 3]`` world centres.
        covars: ``[N, 6]`` world covariances.
        opacities: ``[N]``.
        image: ``[H, W, C]``.
        viewmat: ``[4, 4]`` world to camera.
        K: ``[3, 3]`` px.
        workspace: reused buffers.
        eps2d: px² added to the projected covariance.
        threads: None for one per core.

    Returns:
        num ``[N, C]`` and den ``[N]``, float32, new arrays.
    """
    jit.announce()
    workspace = workspace or Workspace()
    height, width, channels = image.shape
    count = len(means)
    # Colours play no part in the weights, but splats without finite ones are not drawn.
    colors = workspace.take("gather colors", count * 3, np.float32)
    colors.fill(0)
    splats = Splats(flat(means), NOTHING, NOTHING, flat(covars), flat(opacities), colors)
    camera = pack_camera(viewmat, K, (width, height), eps2d)
    frame = prepare(splats, camera, (width, height), workspace, threads, slots=True)
    sums, weights = np.empty(count * channels, np.float32), np.empty(count, np.float32)
    pixels = flat(image)
    for first in range(0, channels, _CHANNELS):
        _gather_channels(frame, pixels, (first, channels), (sums, weights), workspace)
    return sums.reshape(count, channels), weights


def _gather_channels(
    frame: Frame,
    image: np.ndarray,
    planes: tuple[int, int],
    results: tuple[np.ndarray, np.ndarray],
    workspace: Workspace,
) -> None:
    """Gather up to three channels, starting at ``planes[0]``, into ``results``."""
    slots = workspace.take("gather slots", len(frame.entries) * _SLOT, np.float32)
    slots.fill(0)
    scratch = tile_scratch(frame, _PLANES, workspace)
    counter = np.zeros(1, np.int64)
    lists, projected = frame.lists(), (frame.records, frame.rects)
    size = (*frame.size, frame.tiles_x)

    def gather_part(part: int) -> None:
        gather(counter, lists, projected, image, slots, scratch[part], size, planes)

    pool.run(gather_part, len(scratch), frame.threads)
    sums, weights = results
    parts = frame.threads

    def collect_part(part: int) -> None:
        span = (len(weights) * part // parts, len(weights) * (part + 1) // parts)
        collect(span, projected, slots, planes, sums, weights)

    pool.run(collect_part, parts, frame.threads)
