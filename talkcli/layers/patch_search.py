"""Which place of a picture resembles the surroundings of a pixel: the kernels of PatchMatch.

Patches of 7×7 pixels are compared on *sheets*: pictures with a margin and four numbers per pixel,
so that a row of a patch, and one pixel more that weighs nothing, is two vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from talkcli import runtime
from talkcli.kernels import pool
from talkcli.kernels.jit import helper, kernel
from talkcli.kernels.memory import load, store
from talkcli.kernels.simd import LANES, lane_numbers, select, splat, total

RADIUS = 3  # 7×7 patches: 5×5 lose the direction of edges, 9×9 cost twice as much
BIAS = 0.08  # colour shift that a patch may take on, sRGB 0–1: enough for studio vignettes
NEAR = 4e-4  # cost of a match one reach away, against squared colour differences

#: Roles of a pixel, combined as bits of one byte.
GAP, TARGET, SOURCE, KNOWN = 1, 2, 4, 8

_SIDE = 2 * RADIUS + 1
_CHANNELS = 4
#: Numbers in a patch on a sheet, with the pixel too many in each row.
_PATCH = _SIDE * 2 * LANES
#: A job for a thread has at least this many targets, some 2 ms.
_LEAST_TARGETS = 512


def sheet(picture: np.ndarray) -> np.ndarray:
    """``[H + 6, W + 7, 4]`` float32: the picture ``[H, W, 3]`` with a margin and a fourth channel.

    The margin, on all sides, and the fourth channel are zero.
    """
    h, w = picture.shape[:2]
    padded = np.zeros((h + 2 * RADIUS, w + 2 * RADIUS + 1, _CHANNELS), np.float32)
    padded[RADIUS : RADIUS + h, RADIUS : RADIUS + w, :3] = picture
    return padded


@helper
def _random(a: int, b: int, c: int, span: int) -> Any:
    """A number from -span to span, hashed from three integers, so that the search is repeatable."""
    v = np.uint32(a) * np.uint32(73856093)
    v ^= np.uint32(b) * np.uint32(19349663)
    v ^= np.uint32(c) * np.uint32(83492791)
    v ^= v >> np.uint32(13)
    v *= np.uint32(1540483477)
    v ^= v >> np.uint32(15)
    return np.int64(v % np.uint32(2 * span + 1)) - span


@helper
def _load_weights(weights: Any, corner: Any, stride: Any, out: Any) -> Any:
    """Copy a patch of weights without the pixel too many; returns their sum."""
    inside = lane_numbers() < splat(np.float32(LANES - _CHANNELS))
    summed = splat(np.float32(0.0))
    for row in range(_SIDE):
        left = load(weights, corner + row * stride)
        right = load(weights, corner + row * stride + LANES)
        right = select(inside, right, splat(np.float32(0.0)))
        store(out, row * 2 * LANES, left)
        store(out, row * 2 * LANES + LANES, right)
        summed = summed + left + right
    return total(summed) / np.float32(3.0) + np.float32(1e-6)


@helper
def _compare(image: Any, weights: Any, corner: Any, other: Any, stride: Any, sums: Any) -> Any:
    """Weighted squared difference of two patches; the differences per channel go to ``sums``."""
    s = splat(np.float32(0.0))
    q = splat(np.float32(0.0))
    for row in range(_SIDE):
        for half in range(0, 2 * LANES, LANES):
            at = row * stride + half
            difference = load(image, corner + at) - load(image, other + at)
            weighted = load(weights, row * 2 * LANES + half) * difference
            s = s + weighted
            q = q + weighted * difference
    store(sums, 0, s)
    for k in range(_CHANNELS, LANES):
        sums[k % _CHANNELS] += sums[k]
    return total(q)


@helper
def _candidate(pixel: Any, best: Any, k: int, turn: int, match: Any, role: Any) -> Any:
    """Row and column of the k-th source to try for a pixel: that of a neighbour or a random one.

    Nine in the neighbours' order, then five at random around the best one so far; -1 if it is none
    from which a patch can be copied.
    """
    h, w = role.shape
    y, x = pixel
    sy, sx = best
    if 0 < k < 9:
        step = 1 if k < 5 else 3
        dy = step * ((k % 4 == 0) - (k % 4 == 1))
        dx = step * ((k % 4 == 2) - (k % 4 == 3))
        j = y + dy
        i = x + dx
        if j < 0 or i < 0 or j >= h or i >= w or not role[j, i] & TARGET:
            return -1, -1
        sy = match[j, i, 0] - dy
        sx = match[j, i, 1] - dx
    elif k >= 9:
        span = max(2, max(h, w) >> (k - 8))
        sy += _random(x, y, turn * 32 + k, span)
        sx += _random(y, x, turn * 32 + k + 16, span)
    if sy < 0 or sx < 0 or sy >= h or sx >= w or not role[sy, sx] & SOURCE:
        return -1, -1
    return sy, sx


@helper
def _colour_shift(sums: Any, c: int, n: Any) -> Any:
    """The shift of a channel that a match takes on.

    Not the whole difference: what known pixels do not constrain drifts back to true colours.
    """
    limit = np.float32(BIAS)
    return min(max(np.float32(0.75) / n * sums[c], -limit), limit)


@helper
def _cost(q: Any, sums: Any, n: Any, up: Any, aside: Any) -> Any:
    """Cost of a match from the sums over its patch and its distance, relative to the reach."""
    shift = np.float32(0.0)
    for c in range(3):
        b = _colour_shift(sums, c, n)
        q += b * (b * n - np.float32(2.0) * sums[c])
        shift += b * b
    # Light, focus and layers (floor, horizon, ceiling) change mostly with height: of equally
    # similar patches, one from the side, and from near by, is better.
    far = aside * aside + np.float32(2.0) * up * up
    return q / n + np.float32(0.5) * shift + np.float32(NEAR) * far


@kernel(fastmath=True)
def search_targets(
    targets: np.ndarray, scratch: np.ndarray, sheets: Any, role: np.ndarray,
    match: np.ndarray, found: np.ndarray, fit: np.ndarray, turn: int,
) -> None:  # fmt: skip
    """One PatchMatch step: try neighbours' matches and random ones around the current match.

    Args:
        targets: ``[n]`` flat indices of the pixels that look for a match.
        scratch: ``[240]``.
        sheets: of the picture and of the weights, flat.
        role: ``[H, W]`` uint8.
        match: ``[H, W, 2]`` int32 row and column of the matches so far.
        found: ``[H, W, 2]`` receives the better ones.
        fit: ``[H, W, 4]`` float32 receives the colour shift of each match, and its cost.
        turn: number of the step, which the random numbers depend on.
    """
    h, w = role.shape
    stride = (w + 2 * RADIUS + 1) * _CHANNELS
    image, weights = sheets
    own, sums = scratch[:_PATCH], scratch[_PATCH:]
    reach = np.float32(1.0) / np.float32(0.3 * max(h, w))
    for number in range(len(targets)):
        y = targets[number] // w
        x = targets[number] - y * w
        # Its upper left corner, since the margin is as wide as the radius.
        corner = y * stride + x * _CHANNELS
        n = _load_weights(weights, corner, stride, own)
        by = match[y, x, 0]
        bx = match[y, x, 1]
        best = np.float32(1e9)
        for k in range(14):
            sy, sx = _candidate((y, x), (by, bx), k, turn, match, role)
            if sy < 0 or (k > 0 and sy == by and sx == bx):
                continue
            q = _compare(image, own, corner, sy * stride + sx * _CHANNELS, stride, sums)
            value = _cost(q, sums, n, np.float32(y - sy) * reach, np.float32(x - sx) * reach)
            if value < best:
                best = value
                by = sy
                bx = sx
                for c in range(3):
                    fit[y, x, c] = _colour_shift(sums, c, n)
        found[y, x, 0] = by
        found[y, x, 1] = bx
        fit[y, x, 3] = best


@kernel(fastmath=True)
def vote_pixels(
    pixels: np.ndarray, _scratch: np.ndarray, image: np.ndarray, vote: np.ndarray,
    role: np.ndarray, match: np.ndarray, fit: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """Compute pixels of the hole from the patches that cover them.

    Args:
        pixels: ``[n]`` flat indices.
        image: ``[H, W, 3]``.
        vote: ``[H, W]`` weight of each patch, 0 where there is none.
        role: ``[H, W]`` uint8.
        match: ``[H, W, 2]``.
        fit: ``[H, W, 4]`` colour shifts and costs.
        out: ``[H, W, 3]`` receives the colours.
    """
    h, w = role.shape
    for number in range(len(pixels)):
        index = pixels[number]
        y = index // w
        x = index - y * w
        sum_r = np.float32(0.0)
        sum_g = np.float32(0.0)
        sum_b = np.float32(0.0)
        votes = np.float32(0.0)
        for j in range(max(0, y - RADIUS), min(h, y + RADIUS + 1)):
            for i in range(max(0, x - RADIUS), min(w, x + RADIUS + 1)):
                g = vote[j, i]
                if g == np.float32(0.0):
                    continue
                sy = match[j, i, 0]
                sx = match[j, i, 1]
                if not role[sy, sx] & SOURCE:
                    continue
                votes += g
                sy += y - j
                sx += x - i
                sum_r += g * (image[sy, sx, 0] + fit[j, i, 0])
                sum_g += g * (image[sy, sx, 1] + fit[j, i, 1])
                sum_b += g * (image[sy, sx, 2] + fit[j, i, 2])
        if votes > 0:
            out[y, x, 0] = sum_r / votes
            out[y, x, 1] = sum_g / votes
            out[y, x, 2] = sum_b / votes


def shared(kernel_: Any, places: np.ndarray, *arguments: Any) -> None:
    """Call a kernel with parts of its first argument, from several threads.

    Its second argument is scratch memory of that thread alone.
    """
    if len(places) < 2 * _LEAST_TARGETS:
        kernel_(places, np.empty(_PATCH + LANES, np.float32), *arguments)
        return
    threads = runtime.thread_count()
    count = min(4 * threads, len(places) // _LEAST_TARGETS)
    parts = np.array_split(places, count)
    scratch = np.empty((count, _PATCH + LANES), np.float32)
    pool.run(lambda part: kernel_(parts[part], scratch[part], *arguments), count, threads)
