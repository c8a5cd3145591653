"""Fills a hole in a picture with pieces of the picture itself (multi-scale patch synthesis).

For each hole pixel, PatchMatch (Barnes et al. 2009) finds the place in the known picture whose
surroundings resemble its own; overlapping patches then vote for the colours of the hole (Wexler et
al. 2007), from coarse to fine. Patches may be shifted slightly in colour, so that gradients
continue, and finally the gradients of the matched places are joined, which keeps the grain and
removes the seams.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from talkcli import runtime
from talkcli.kernels import pool
from talkcli.kernels.jit import helper, kernel
from talkcli.layers.colors import diffuse

_RADIUS = 3  # 7×7 patches: 5×5 lose the direction of edges, 9×9 cost twice as much
_BIAS = 0.08  # colour shift that a patch may take on, sRGB 0–1: enough for studio vignettes
_NEAR = 4e-4  # cost of a match one reach away, against squared colour differences
_COARSEST_PX = 80  # the pyramid stops below this: 7×7 patches then span a tenth of the picture
_MIN_SOURCES = 200  # patch centres; with fewer, a smooth fill looks better than a few patches

# Roles of a pixel, combined as bits of one byte.
_GAP, _TARGET, _ACTIVE, _SOURCE, _KNOWN = 1, 2, 4, 8, 16


@kernel(fastmath=True)
def _compare(
    image: np.ndarray, weight: np.ndarray, ty: int, tx: int, sy: int, sx: int, out: np.ndarray
) -> np.float32:
    """Cost of the patch at (sy, sx) as a match for (ty, tx); its colour shift goes to ``out``."""
    h, w, _ = image.shape
    n = np.float32(1e-6)
    q = np.float32(0.0)
    s0 = np.float32(0.0)
    s1 = np.float32(0.0)
    s2 = np.float32(0.0)
    for j in range(max(-_RADIUS, -ty), min(_RADIUS, h - 1 - ty) + 1):
        for i in range(max(-_RADIUS, -tx), min(_RADIUS, w - 1 - tx) + 1):
            g = weight[ty + j, tx + i]
            d0 = image[ty + j, tx + i, 0] - image[sy + j, sx + i, 0]
            d1 = image[ty + j, tx + i, 1] - image[sy + j, sx + i, 1]
            d2 = image[ty + j, tx + i, 2] - image[sy + j, sx + i, 2]
            n += g
            s0 += g * d0
            s1 += g * d1
            s2 += g * d2
            q += g * (d0 * d0 + d1 * d1 + d2 * d2)
    # Not the whole difference: what known pixels do not constrain drifts back to true colours.
    limit = np.float32(_BIAS)
    part = np.float32(0.75) / n
    b0 = min(max(s0 * part, -limit), limit)
    b1 = min(max(s1 * part, -limit), limit)
    b2 = min(max(s2 * part, -limit), limit)
    out[0] = b0
    out[1] = b1
    out[2] = b2
    q += b0 * (b0 * n - 2 * s0) + b1 * (b1 * n - 2 * s1) + b2 * (b2 * n - 2 * s2)
    # Light, focus and layers (floor, horizon, ceiling) change mostly with height: of equally
    # similar patches, one from the side, and from near by, is better.
    reach = np.float32(0.3 * max(h, w))
    dy = np.float32(ty - sy) / reach
    dx = np.float32(tx - sx) / reach
    far = dx * dx + np.float32(2.0) * dy * dy
    shift = b0 * b0 + b1 * b1 + b2 * b2
    return q / n + np.float32(0.5) * shift + np.float32(_NEAR) * far


@helper(fastmath=False)
def _random(a: int, b: int, c: int, span: int) -> Any:
    """A number from -span to span, hashed from three integers, so that the search is repeatable."""
    v = np.uint32(a) * np.uint32(73856093)
    v ^= np.uint32(b) * np.uint32(19349663)
    v ^= np.uint32(c) * np.uint32(83492791)
    v ^= v >> np.uint32(13)
    v *= np.uint32(1540483477)
    v ^= v >> np.uint32(15)
    return np.int64(v % np.uint32(2 * span + 1)) - span


@kernel(fastmath=True)
def _search(
    rows: Any, image: np.ndarray, weight: np.ndarray, role: np.ndarray, fits: Any,
    found: np.ndarray, turn: int, bias: np.ndarray,
) -> None:  # fmt: skip
    """One PatchMatch step: try neighbours' matches and random ones around the current match.

    Of ``fits``, matches are read and colour shifts and costs written; new matches go to ``found``.
    Only the rows from ``rows[0]`` to ``rows[1]`` are written. ``bias`` is ``[3]`` scratch.
    """
    match, shift, cost = fits
    h, w = role.shape
    for y in range(rows[0], rows[1]):
        for x in range(w):
            if not role[y, x] & _TARGET:
                continue
            by = match[y, x, 0]
            bx = match[y, x, 1]
            best = np.float32(1e9)
            tries = 14 if role[y, x] & _ACTIVE else 0
            for k in range(tries):
                if k == 0:
                    sy = by
                    sx = bx
                elif k < 9:
                    step = 1 if k < 5 else 3
                    dy = step * ((k % 4 == 0) - (k % 4 == 1))
                    dx = step * ((k % 4 == 2) - (k % 4 == 3))
                    j = y + dy
                    i = x + dx
                    if j < 0 or i < 0 or j >= h or i >= w or not role[j, i] & _TARGET:
                        continue
                    sy = match[j, i, 0] - dy
                    sx = match[j, i, 1] - dx
                else:
                    span = max(2, max(h, w) >> (k - 8))
                    sy = by + _random(x, y, turn * 32 + k, span)
                    sx = bx + _random(y, x, turn * 32 + k + 16, span)
                if sy < 0 or sx < 0 or sy >= h or sx >= w or not role[sy, sx] & _SOURCE:
                    continue
                if k > 0 and sy == by and sx == bx:
                    continue
                value = _compare(image, weight, y, x, sy, sx, bias)
                if value < best:
                    best = value
                    by = sy
                    bx = sx
                    for c in range(3):
                        shift[y, x, c] = bias[c]
            found[y, x, 0] = by
            found[y, x, 1] = bx
            if tries:
                cost[y, x] = best


@kernel(fastmath=True)
def _vote(
    rows: Any, image: np.ndarray, weight: np.ndarray, role: np.ndarray, fits: Any,
    sharp: np.float32, out: np.ndarray, color: np.ndarray,
) -> None:  # fmt: skip
    """Compute hole pixels from the patches that cover them, weighted by how well these match.

    Only the rows from ``rows[0]`` to ``rows[1]`` are written. ``color`` is ``[3]`` scratch.
    """
    match, shift, cost = fits
    h, w = role.shape
    for y in range(rows[0], rows[1]):
        for x in range(w):
            if not role[y, x] & _GAP:
                continue
            total = np.float32(0.0)
            for c in range(3):
                color[c] = 0
            for j in range(max(0, y - _RADIUS), min(h, y + _RADIUS + 1)):
                for i in range(max(0, x - _RADIUS), min(w, x + _RADIUS + 1)):
                    if not role[j, i] & _TARGET:
                        continue
                    sy = match[j, i, 0]
                    sx = match[j, i, 1]
                    if not role[sy, sx] & _SOURCE:
                        continue
                    g = weight[j, i] * np.exp(-cost[j, i] * sharp) + np.float32(1e-9)
                    total += g
                    for c in range(3):
                        color[c] += g * (image[sy + y - j, sx + x - i, c] + shift[j, i, c])
            if total > 0:
                for c in range(3):
                    out[y, x, c] = color[c] / total


@kernel(fastmath=True)
def _wanted_steps(
    image: np.ndarray, role: np.ndarray, match: np.ndarray, right: np.ndarray, down: np.ndarray
) -> None:
    """Copy the colour steps to the right and lower neighbours from the matched places."""
    h, w = role.shape
    for y in range(h):
        for x in range(w):
            for k in range(2):
                j = y + k
                i = x + 1 - k
                if j >= h or i >= w:
                    continue
                here = role[y, x] & _GAP
                there = role[j, i] & _GAP
                n = np.float32(0.5) if here and there else np.float32(1.0)
                out = down if k else right
                for c in range(3):
                    step = np.float32(0.0)
                    if here:
                        sy = match[y, x, 0]
                        sx = match[y, x, 1]
                        step += image[sy + k, sx + 1 - k, c] - image[sy, sx, c]
                    if there:
                        sy = match[j, i, 0]
                        sx = match[j, i, 1]
                        step += image[sy, sx, c] - image[sy - k, sx - 1 + k, c]
                    out[y, x, c] = n * step


@kernel(fastmath=True)
def _relax_steps(
    result: np.ndarray, role: np.ndarray, right: np.ndarray, down: np.ndarray,
    anchor: np.ndarray, hold: np.float32, parity: int,
) -> None:  # fmt: skip
    """One half (red or black) sweep of over-relaxation towards the wanted steps."""
    h, w = role.shape
    usable = np.uint8(_GAP | _KNOWN)
    for y in range(h):
        for x in range((y + parity) % 2, w, 2):
            if not role[y, x] & _GAP:
                continue
            for c in range(3):
                n = hold
                v = hold * anchor[y, x, c]
                if x > 0 and role[y, x - 1] & usable:
                    v += result[y, x - 1, c] + right[y, x - 1, c]
                    n += np.float32(1.0)
                if x < w - 1 and role[y, x + 1] & usable:
                    v += result[y, x + 1, c] - right[y, x, c]
                    n += np.float32(1.0)
                if y > 0 and role[y - 1, x] & usable:
                    v += result[y - 1, x, c] + down[y - 1, x, c]
                    n += np.float32(1.0)
                if y < h - 1 and role[y + 1, x] & usable:
                    v += result[y + 1, x, c] - down[y, x, c]
                    n += np.float32(1.0)
                result[y, x, c] += np.float32(1.8) * (v / n - result[y, x, c])


def _over_rows(function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Run ``_search`` or ``_vote`` over all rows of the picture, on several threads."""
    height, threads = len(arguments[0]), runtime.thread_count()
    # Rows with much of the hole take longest: smaller parts are shared out more evenly.
    parts = min(height, 8 * threads) if threads > 1 else 1
    bounds = [height * part // parts for part in range(parts + 1)]

    def work(part: int) -> None:
        rows = (bounds[part], bounds[part + 1])
        function(rows, *arguments, np.empty(3, np.float32))

    pool.run(work, parts, threads)


def fill_patches(image: np.ndarray, hole: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Fill a hole so that it continues the known part of the picture.

    Args:
        image: ``[H, W, 3]`` float32 0–1.
        hole: ``[H, W]`` bool, pixels to fill.
        known: ``[H, W]`` bool, pixels to continue and to copy from. Pixels that are neither are
            left alone and have no influence.

    Returns:
        ``[H, W, 3]`` float32, equal to the input outside the hole. Where too little is known for
        patches, the fill is a smooth continuation; if nothing is known, the picture stays.
    """
    image = np.ascontiguousarray(image, np.float32)
    if not hole.any() or not known.any():
        return image.copy()
    pyramid = _pyramid(image, hole, known)
    picture, gap, sure = pyramid[-1]
    filled = np.where(gap[..., None], diffuse(picture, sure.astype(np.float32)), picture)
    if _centres(sure).sum() < _MIN_SOURCES:
        return filled.astype(np.float32)
    match: np.ndarray = np.empty(0)
    for level in range(len(pyramid) - 1, -1, -1):
        picture, gap, sure = pyramid[level]
        h, w = gap.shape
        if match.size:
            finer = cv2.resize(filled, (w, h), interpolation=cv2.INTER_LINEAR)
            filled = np.where(gap[..., None], finer, picture)
            match = np.repeat(np.repeat(match, 2, 0), 2, 1)[:h, :w] * 2
            match[1::2, :, 0] += 1
            match[:, 1::2, 1] += 1
            match = np.minimum(match, (h - 1, w - 1))
        # Structure is settled at the cheap, coarse levels; the finest level only adds detail.
        rounds = 1 if level == 0 else 3 if level < len(pyramid) - 1 else 12
        filled, match, role = _synthesise(filled.astype(np.float32), gap, sure, match, rounds)
    return _join(filled, role, match)


def _pyramid(
    image: np.ndarray, hole: np.ndarray, known: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Picture, hole and known mask at halving sizes, as long as enough patches are known."""
    levels = [(image, hole, known & ~hole)]
    while min(levels[-1][1].shape) >= _COARSEST_PX:
        picture, gap, sure = levels[-1]
        size = ((gap.shape[1] + 1) // 2, (gap.shape[0] + 1) // 2)
        weight = sure.astype(np.float32)
        total = cv2.resize(picture * weight[..., None], size, interpolation=cv2.INTER_AREA)
        weight = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
        gap = cv2.resize(gap.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
        small = total / np.maximum(weight, 1e-6)[..., None]
        levels.append((small, gap, (weight > 0.999) & ~gap))
    while len(levels) > 1 and not _offers_enough(*levels[-1][1:]):
        levels.pop()
    return levels


def _offers_enough(gap: np.ndarray, known: np.ndarray) -> bool:
    """Whether patches can be copied from most of the hole's surroundings.

    Narrow strips of background contain no whole patch once the picture gets small; left out, they
    would be continued by whatever else there is.
    """
    side = 2 * _RADIUS + 1
    centres = _centres(known)
    around = known & (cv2.dilate(gap.astype(np.uint8), np.ones((2 * side, 2 * side))) > 0)
    offered = cv2.dilate(centres.astype(np.uint8), np.ones((side, side))) > 0
    return bool(centres.sum() >= _MIN_SOURCES and (offered & around).sum() > 0.9 * around.sum())


def _centres(known: np.ndarray) -> np.ndarray:
    """Centres of patches that lie within the picture and are completely known."""
    side = 2 * _RADIUS + 1
    return cv2.erode(known.astype(np.uint8), np.ones((side, side)), borderValue=0) > 0


def _synthesise(
    filled: np.ndarray, gap: np.ndarray, sure: np.ndarray, match: np.ndarray, rounds: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Alternate search and vote at one scale; returns the fill, its matches and pixel roles."""
    h, w = gap.shape
    depth = cv2.distanceTransform(gap.astype(np.uint8), cv2.DIST_L2, 5)
    # Known pixels decide, and pixels count less the further they are from them.
    weight = np.where(gap, np.maximum(0.02, 1.6**-depth), sure).astype(np.float32)
    side = 2 * _RADIUS + 1
    target = (cv2.dilate(gap.astype(np.uint8), np.ones((side, side))) > 0) & (weight > 0)
    role = (gap * _GAP + target * (_TARGET | _ACTIVE) + _centres(sure) * _SOURCE).astype(np.uint8)
    role |= sure * np.uint8(_KNOWN)
    shift = np.zeros((h, w, 3), np.float32)
    cost = np.zeros((h, w), np.float32)
    if not match.size:
        match = _peel(filled, weight, role, depth)
    match = np.ascontiguousarray(match, np.int32)
    found = match.copy()
    for turn in range(rounds):
        for step in range(2):
            fits = (match, shift, cost)
            _over_rows(_search, (filled, weight, role, fits, found, 2 * turn + step))
            match, found = found, match
        sharp = np.float32(0.5 / max(float(np.median(cost[target])), 1e-5))
        voted = filled.copy()
        _over_rows(_vote, (filled, weight, role, (match, shift, cost), sharp, voted))
        filled = voted
    return filled, match, role


def _peel(
    filled: np.ndarray, weight: np.ndarray, role: np.ndarray, depth: np.ndarray
) -> np.ndarray:
    """Find first matches, from the rim of the hole inwards, filling ``filled`` on the way.

    Starting from a smooth fill would produce streaks, since smooth patches match smooth patches.
    """
    h, w = role.shape
    gap = (role & _GAP) > 0
    y, x = np.nonzero(role & _SOURCE)
    pick = np.random.default_rng(0).integers(0, len(y), (h, w))
    match = np.stack([y[pick], x[pick]], -1).astype(np.int32)
    found = match.copy()
    shift = np.zeros((h, w, 3), np.float32)
    cost = np.zeros((h, w), np.float32)
    trusted = np.where(gap, 0, weight).astype(np.float32)
    begun = ((role & _TARGET) > 0) & ~gap
    ring = begun
    for layer in range(int(np.ceil(depth.max())) + 1):
        if layer:
            ring = gap & (depth <= layer) & (depth > layer - 1)
            begun = begun | ring
        stage = (role & _SOURCE) | begun * np.uint8(_TARGET) | ring * np.uint8(_ACTIVE)
        for step in range(8 if layer else 24):
            fits, turn = (match, shift, cost), 100 + 8 * layer + step
            _over_rows(_search, (filled, trusted, stage, fits, found, turn))
            match, found = found, match
        if layer:
            sy, sx = match[ring].T
            filled[ring] = filled[sy, sx] + shift[ring]
            trusted[ring] = weight[ring]
    return match


def _join(filled: np.ndarray, role: np.ndarray, match: np.ndarray) -> np.ndarray:
    """Restore the grain and edges of single matches, without steps where two matches meet.

    Voting averages the grain away; copying single pixels keeps it but leaves steps between pieces.
    So the copied *gradients* are joined (a screened Poisson equation tied to the voted colours).
    """
    right, down = np.zeros((2, *filled.shape), np.float32)
    _wanted_steps(filled, role, match, right, down)
    result = filled.copy()
    # The voted colours hold beyond 4 % of the picture: steps become ramps of that width.
    hold = np.float32(1.0 / (0.04 * max(role.shape)) ** 2)
    for sweep in range(60):
        _relax_steps(result, role, right, down, filled, hold, sweep % 2)
    return np.clip(result, 0, 1)
