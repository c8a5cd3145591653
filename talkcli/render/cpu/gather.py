"""Back-projection: what each splat sees of an image, with the weights it was blended with."""

from __future__ import annotations

from typing import Any

import numpy as np

from talkcli.avatar import Camera
from talkcli.kernels import jit, pool
from talkcli.kernels.jit import helper, kernel
from talkcli.kernels.memory import (
    column_sums,
    load_block,
    prefetch,
    store_block,
    store_first,
    take_ticket,
)
from talkcli.kernels.simd import minimum, splat
from talkcli.render.cpu import layout as at
from talkcli.render.cpu.layout import AHEAD, RECORD, ROW
from talkcli.render.cpu.raster import (
    DEFAULTS,
    NOTHING,
    FlatSplats,
    Frame,
    RasterSettings,
    Workspace,
    flat,
    prepare,
    tile_scratch,
)
from talkcli.render.cpu.tiles import INDEX_MASK, entry_slot, sort_list
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
from talkcli.shapes import Float, Float32
from talkcli.types import SplatArrays

#: Image channels gathered in one walk, and the floats per list entry: the channels and the weight.
_CHANNELS = 3
_SLOT = 4
#: Transmittance and the image's channels.
_PLANES = 1 + _CHANNELS
_STEP = _PLANES * ROW


@helper
def _gather_window(buffer: Any, window: Any, eighth: Any, _dy: Any, sums: Any, _state: Any) -> Any:
    """Add the weighted channels of sixteen pixels, and their weights, to the sums."""
    sum0, sum1, sum2, total = sums
    place, step = window
    alpha = minimum(raw_alpha(eighth), at.ALPHA_MAX)
    weight, left, _ = weigh(eighth, alpha, load_block(buffer, place, step))
    store_block(buffer, place, step, left)
    sum0 = sum0 + weight * load_block(buffer, place + ROW, step)
    sum1 = sum1 + weight * load_block(buffer, place + 2 * ROW, step)
    sum2 = sum2 + weight * load_block(buffer, place + 3 * ROW, step)
    return sum0, sum1, sum2, total + weight


@helper
def _gather_splat(buffer: Any, records: Any, r: int, tile: Any) -> Any:
    """Weighted sums of the three channels, and of the weights, over a tile's pixels."""
    zero = splat(0.0)
    sums = (zero, zero, zero, zero)
    record = (records, r)
    return walk_windows(buffer, record, tile, _STEP, _gather_window, keep_sums, sums, None)


@helper
def fetch_image(buffer: Any, plane: int, image: Any, tile: Any, layout: Any) -> None:
    """Copy a tile of some channels of a flat ``[H, W, C]`` image into planes from ``plane`` on.

    ``layout`` is the planes of the buffer, the image's width and channels, the first channel
    wanted, and how many.
    """
    planes, width, channels, first, count = layout
    left_x, top, columns, rows = tile
    for y in range(rows):
        place = (y * planes + plane) * ROW
        source = ((top + y) * width + left_x) * channels + first
        for k in range(count):
            for x in range(columns):
                buffer[place + k * ROW + x] = image[source + x * channels + k]


@kernel
def gather(
    counter: Any, lists: Any, projected: Any, image: Any, slots: Any, scratch: Any, size: Any,
    planes: Any,
) -> None:  # fmt: skip
    """Walk tiles until none is left and write each entry's weighted sums into its slot.

    Args:
        counter: ``[1]`` int64 ticket machine over the tiles.
        lists: tile order, list offsets and entries; each list is sorted here.
        projected: of :meth:`talkcli.render.cpu.raster.Frame.projected`.
        image: flat ``[H W C]``.
        slots: ``[4 M]``, zero where a splat gets no pixel of a tile.
        scratch: tile buffer, spare entries, histogram; of this thread alone.
        size: image width and height, tiles per row.
        planes: first channel to gather and number of channels of the image.
    """
    order, offsets, entries = lists
    buffer, spare, histogram = scratch
    records, rects, numbers = projected
    width, height, tiles_x = size
    first, channels = planes
    while True:
        ticket = take_ticket(counter)
        if ticket >= len(order):
            break
        number = order[ticket]
        tile = tile_window(number, tiles_x, width, height)
        begin, end = offsets[number], offsets[number + 1]
        sort_list(entries, begin, end, spare, histogram)
        clear_tile(buffer, _PLANES, tile[2], tile[3])
        layout = (_PLANES, width, channels, first, min(_CHANNELS, channels - first))
        fetch_image(buffer, 1, image, tile, layout)
        for e in range(begin, end):
            if e + AHEAD < end:
                prefetch(records, (entries[e + AHEAD] & INDEX_MASK) * RECORD)
                prefetch(rects, (entries[e + AHEAD] & INDEX_MASK) * 4)
            index = entries[e] & INDEX_MASK
            sums = _gather_splat(buffer, records, index * RECORD, tile)
            slot = entry_slot(numbers, rects, index, number, tiles_x)
            store_first(slots, slot * _SLOT, column_sums(sums), _SLOT)
            if (e - begin) % CHECK_EVERY == CHECK_EVERY - 1 and all_stopped(buffer, _PLANES):
                break


@kernel
def collect(span: Any, projected: Any, slots: Any, planes: Any, sums: Any, weights: Any) -> None:
    """Add up the slots of splats ``span[0]`` … ``span[1]``, always in the same order.

    Args:
        span: begin and end.
        projected: as for :func:`gather`.
        slots: ``[4 M]`` of :func:`gather`.
        planes: first channel that was gathered and number of channels of the image.
        sums: ``[N C]``; these channels are set.
        weights: ``[N]``, set.
    """
    _, rects, numbers = projected
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


def backproject(
    splats: SplatArrays,
    image: Float[np.ndarray, "H W C"],
    camera: Camera,
    workspace: Workspace | None = None,
    *,
    settings: RasterSettings = DEFAULTS,
) -> tuple[Float32[np.ndarray, "N C"], Float32[np.ndarray, " N"]]:
    """For each splat, sums over the pixels of weight × image and of weight alone.

    The weight is the one with which :func:`talkcli.render.cpu.rasterize` blends the splat into the
    pixel (alpha × transmittance). With the residual of a rendering as ``image``, num / den is the
    colour correction that a SIRT step spreads back; num itself is the gradient of the image's
    scalar product with the rendering, towards the colours.

    Args:
        splats: N splats; their colours play no part.
        image: ``[H, W, C]``, of the camera's size.
        camera: pinhole camera.
        workspace: buffers to reuse.
        settings: dilation, antialiasing and threads.

    Returns:
        num ``[N, C]`` and den ``[N]``, float32, new arrays.

    Raises:
        ValueError: the image is not of the camera's size.
    """
    jit.announce()
    workspace = workspace or Workspace()
    height, width, channels = image.shape
    if (height, width) != (camera.height, camera.width):
        raise ValueError(f"a {width}x{height} image in a {camera.width}x{camera.height} camera")
    count = len(splats)
    # Splats whose colours are not finite are not drawn, but here they are to have weights too.
    colors = workspace.take("gather colors", count * 3, np.float32)
    colors.fill(0)
    shape = (flat(splats.means), NOTHING, NOTHING, flat(splats.covars))
    drawn = FlatSplats(*shape, flat(splats.opacities), colors)
    frame = prepare(drawn, camera, workspace, settings, slots=True)
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
    lists, projected = frame.lists(), frame.projected()
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
