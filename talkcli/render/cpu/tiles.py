"""Which splats touch which tile, and in what order: a counting sort, then one sort per tile.

Sorting per tile instead of once over all splats keeps every pass in the first-level cache, needs
no step that only one thread can do, and lets the binning read its input in order of memory. Depth
keys within a tile span few bits (a face is some centimetres deep), so two radix passes over the
bits that differ replace the three that full float keys need. Both steps are stable: equal depths
keep the order of their indices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from talkcli.kernels.jit import helper, kernel
from talkcli.render.cpu.layout import RECORD, SLOT

#: Bits per radix pass at most: 2048 counters of four bytes stay in the first-level cache.
DIGIT_BITS = 11
#: Shorter lists are sorted by insertion.
_SHORT = 24
#: An entry is the depth key in the upper and the splat's index in the lower 32 bits of an int64.
#: Keys are bits of positive floats, so entries are positive and order as (depth, index).
KEY_SHIFT = 32
INDEX_MASK = 0xFFFFFFFF
SIZE_CLASSES = 128


@helper
def _bit_length(value: int) -> int:
    bits = 0
    while value > 0:
        value >>= 1
        bits += 1
    return bits


@helper
def _size_class(length: int) -> int:
    """0 for the longest lists, rising as they shorten, four classes per doubling."""
    bits = _bit_length(length)
    fraction = (length << 2 >> (bits - 1)) & 3 if bits > 0 else 0
    return SIZE_CLASSES - 1 - (4 * bits + fraction) if bits < 31 else 0


@kernel
def plan(counts: Any, offsets: Any, order: Any, part_sizes: Any, classes: Any) -> int:
    """Turn tile counts per part into write positions; list the tiles by falling count.

    Args:
        counts: ``[parts, tiles]`` int32; on return where each part writes its first entry.
        offsets: ``[tiles + 1]`` int64, set to where each tile's list begins.
        order: ``[tiles]`` int32, set to the tiles, fullest first, so that threads end together.
        part_sizes: ``[parts]`` int64, set to the number of entries of each part.
        classes: ``[SIZE_CLASSES]`` int64, scratch.

    Returns:
        The length of the longest list.
    """
    parts, tiles = counts.shape
    for size in range(SIZE_CLASSES):
        classes[size] = 0
    for part in range(parts):
        part_sizes[part] = 0
    position = 0
    longest = 0
    for tile in range(tiles):
        offsets[tile] = position
        for part in range(parts):
            count = counts[part, tile]
            counts[part, tile] = position
            part_sizes[part] += count
            position += count
        length = position - offsets[tile]
        longest = max(longest, length)
        classes[_size_class(length)] += 1
    offsets[tiles] = position
    place = 0
    for size in range(SIZE_CLASSES):
        count = classes[size]
        classes[size] = place
        place += count
    for tile in range(tiles):
        size = _size_class(offsets[tile + 1] - offsets[tile])
        order[classes[size]] = tile
        classes[size] += 1
    return longest


@kernel
def fill(
    span: Any, keys: Any, rects: Any, cursor: Any, tiles_x: int, entries: Any, slots: Any
) -> None:
    """Write the entries of splats ``span[0]`` … ``span[1]`` into the lists of their tiles.

    Args:
        span: begin, end, and the gradient slot of the first entry.
        keys: ``[N]`` int32 bits of the camera z.
        rects: ``[4 N]`` int16.
        cursor: ``[tiles]`` int32 next write position of this part; advanced.
        tiles_x: tiles per row.
        entries: int64, see ``KEY_SHIFT``.
        slots: int32 view of the records, whose ``SLOT`` is set; or of length zero.
    """
    slot = span[2]
    for i in range(span[0], span[1]):
        x0, y0, x1, y1 = rects[4 * i], rects[4 * i + 1], rects[4 * i + 2], rects[4 * i + 3]
        entry = (np.int64(keys[i]) << KEY_SHIFT) | i
        for row in range(y0 * tiles_x, y1 * tiles_x, tiles_x):
            for tile in range(row + x0, row + x1):
                entries[cursor[tile]] = entry
                cursor[tile] += 1
        if len(slots) > 0:
            slots[i * RECORD + SLOT] = slot
            slot += max(0, x1 - x0) * max(0, y1 - y0)


@helper
def entry_slot(numbers: Any, rects: Any, index: int, tile: int, tiles_x: int) -> int:
    """Gradient slot of a splat's entry in a tile: a splat's slots follow each other row by row."""
    x0, y0, x1 = rects[4 * index], rects[4 * index + 1], rects[4 * index + 2]
    row, column = tile // tiles_x - y0, tile % tiles_x - x0
    return numbers[index * RECORD + SLOT] + row * (x1 - x0) + column


@helper
def _radix_pass(
    source: Any, begin: int, end: int, target: Any, start: int, digits: Any, histogram: Any
) -> None:
    """One stable pass: ``source[begin:end]`` into ``target[start:]`` by the bits of ``digits``.

    ``digits`` holds the entry that counts as zero, the lowest bit of the digit, and its width.
    """
    base, shift, width = digits
    mask = (1 << width) - 1
    histogram[: mask + 1] = 0
    for i in range(begin, end):
        histogram[((source[i] - base) >> shift) & mask] += 1
    position = start
    for value in range(mask + 1):
        count = histogram[value]
        histogram[value] = position
        position += count
    for i in range(begin, end):
        entry = source[i]
        value = ((entry - base) >> shift) & mask
        target[histogram[value]] = entry
        histogram[value] += 1


@helper
def _radix_plan(bits: int, length: int) -> Any:
    """Number of passes and bits of each: narrow digits where counters would outweigh the list.

    A pass touches every entry twice and every counter once.
    """
    fewest = (bits + DIGIT_BITS - 1) // DIGIT_BITS
    passes, digit, cost = fewest, DIGIT_BITS, 1 << 62
    for tried in range(fewest, 2 * fewest + 1):
        width = (bits + tried - 1) // max(tried, 1)
        if tried * (2 * length + (1 << width)) < cost:
            passes, digit, cost = tried, width, tried * (2 * length + (1 << width))
    return passes, digit


@helper
def sort_list(entries: Any, begin: int, end: int, spare: Any, histogram: Any) -> None:
    """Sort ``entries[begin:end]`` ascending.

    ``spare`` is int64 and at least as long as the list; ``histogram`` is ``[1 << DIGIT_BITS]``
    int32.
    """
    if end - begin <= _SHORT:
        for i in range(begin + 1, end):
            entry = entries[i]
            j = i - 1
            while j >= begin and entries[j] > entry:
                entries[j + 1] = entries[j]
                j -= 1
            entries[j + 1] = entry
        return
    lowest = highest = entries[begin]
    for i in range(begin, end):
        lowest = min(lowest, entries[i])
        highest = max(highest, entries[i])
    base = lowest >> KEY_SHIFT << KEY_SHIFT
    bits = _bit_length((highest - base) >> KEY_SHIFT)
    passes, digit = _radix_plan(bits, end - begin)
    for step in range(passes):
        digits = (base, KEY_SHIFT + step * digit, digit)
        if step & 1:
            _radix_pass(spare, 0, end - begin, entries, begin, digits, histogram)
        else:
            _radix_pass(entries, begin, end, spare, 0, digits, histogram)
    if passes & 1:
        for i in range(end - begin):
            entries[begin + i] = spare[i]
