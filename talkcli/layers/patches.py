"""Fills a hole in a picture with pieces of the picture itself (multi-scale patch synthesis).

For each hole pixel, PatchMatch (Barnes et al. 2009) finds the place in the known picture whose
surroundings resemble its own; overlapping patches then vote for the colours of the hole (Wexler et
al. 2007), from coarse to fine. Patches may be shifted slightly in colour, so that gradients
continue, and finally the gradients of the matched places are joined, which keeps the grain and
removes the seams.
"""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.kernels.jit import kernel
from talkcli.layers.colors import diffuse
from talkcli.layers.patch_search import (
    GAP,
    KNOWN,
    RADIUS,
    SOURCE,
    TARGET,
    search_targets,
    shared,
    sheet,
    vote_pixels,
)

_COARSEST_PX = 80  # the pyramid stops below this: 7×7 patches then span a tenth of the picture
#: Search steps for the targets around the hole, and for each ring of it that is peeled off.
_RIM_STEPS, _RING_STEPS = 16, 8
#: Rounds of search and vote at the coarsest level, between, and at the finest one.
_ROUNDS = (6, 3, 1)
_MIN_SOURCES = 200  # patch centres; with fewer, a smooth fill looks better than a few patches


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
                here = role[y, x] & GAP
                there = role[j, i] & GAP
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
    pixels: np.ndarray, result: np.ndarray, role: np.ndarray, right: np.ndarray, down: np.ndarray,
    anchor: np.ndarray, hold: np.float32,
) -> None:  # fmt: skip
    """Over-relaxation of some pixels, no two of them neighbours, towards the wanted steps."""
    h, w = role.shape
    usable = np.uint8(GAP | KNOWN)
    for number in range(len(pixels)):
        index = pixels[number]
        y = index // w
        x = index - y * w
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
        rounds = _ROUNDS[2 if level == 0 else 1 if level < len(pyramid) - 1 else 0]
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
    side = 2 * RADIUS + 1
    centres = _centres(known)
    around = known & (cv2.dilate(gap.astype(np.uint8), np.ones((2 * side, 2 * side))) > 0)
    offered = cv2.dilate(centres.astype(np.uint8), np.ones((side, side))) > 0
    return bool(centres.sum() >= _MIN_SOURCES and (offered & around).sum() > 0.9 * around.sum())


def _centres(known: np.ndarray) -> np.ndarray:
    """Centres of patches that lie within the picture and are completely known."""
    side = 2 * RADIUS + 1
    return cv2.erode(known.astype(np.uint8), np.ones((side, side)), borderValue=0) > 0


def _synthesise(
    filled: np.ndarray, gap: np.ndarray, sure: np.ndarray, match: np.ndarray, rounds: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Alternate search and vote at one scale; returns the fill, its matches and pixel roles."""
    h, w = gap.shape
    depth = cv2.distanceTransform(gap.astype(np.uint8), cv2.DIST_L2, 5)
    # Known pixels decide, and pixels count less the further they are from them.
    weight = np.where(gap, np.maximum(0.02, 1.6**-depth), sure).astype(np.float32)
    side = 2 * RADIUS + 1
    target = (cv2.dilate(gap.astype(np.uint8), np.ones((side, side))) > 0) & (weight > 0)
    role = (gap * GAP + target * TARGET + _centres(sure) * SOURCE).astype(np.uint8)
    role |= sure * np.uint8(KNOWN)
    fit = np.zeros((h, w, 4), np.float32)
    if not match.size:
        match = _peel(filled, weight, role, depth)
    match = np.ascontiguousarray(match, np.int32)
    found = match.copy()
    targets, pixels = (np.flatnonzero(m).astype(np.int32) for m in (target, gap))
    weights = sheet(np.broadcast_to(weight[..., None], (h, w, 3))).ravel()
    for turn in range(rounds):
        picture = sheet(filled).ravel()
        for step in range(2):
            shared(
                search_targets,
                targets,
                (picture, weights),
                role,
                match,
                found,
                fit,
                2 * turn + step,
            )
            match, found = found, match
        sharp = 0.5 / max(float(np.median(fit[..., 3][target])), 1e-5)
        vote = (weight * np.exp(-fit[..., 3] * np.float32(sharp)) + np.float32(1e-9)) * target
        voted = filled.copy()
        shared(vote_pixels, pixels, filled, vote, role, match, fit, voted)
        filled = voted
    return filled, match, role


def _peel(
    filled: np.ndarray, weight: np.ndarray, role: np.ndarray, depth: np.ndarray
) -> np.ndarray:
    """Find first matches, from the rim of the hole inwards, filling ``filled`` on the way.

    Starting from a smooth fill would produce streaks, since smooth patches match smooth patches.
    """
    h, w = role.shape
    y, x = np.nonzero(role & SOURCE)
    pick = np.random.default_rng(0).integers(0, len(y), (h, w))
    match = np.stack([y[pick], x[pick]], -1).astype(np.int32)
    found = match.copy()
    fit = np.zeros((h, w, 4), np.float32)
    gap = (role & GAP) > 0
    picture, weights = sheet(filled), sheet(np.where(gap, 0, weight)[..., None])
    stage = role & np.uint8(SOURCE)
    for layer, ring in enumerate(_rings(role, depth)):
        y, x = np.divmod(ring, np.int32(w))
        stage[y, x] |= TARGET
        for step in range(_RING_STEPS if layer else _RIM_STEPS):
            turn = 100 + _RING_STEPS * layer + step
            shared(
                search_targets, ring, (picture.ravel(), weights.ravel()), stage, match, found,
                fit, turn,
            )  # fmt: skip
            match, found = found, match
        found[y, x] = match[y, x]
        if layer:
            sy, sx = match[y, x].T
            filled[y, x] = filled[sy, sx] + fit[y, x, :3]
            picture[y + RADIUS, x + RADIUS, :3] = filled[y, x]
            weights[y + RADIUS, x + RADIUS, :3] = weight[y, x, None]
    return match


def _rings(role: np.ndarray, depth: np.ndarray) -> list[np.ndarray]:
    """Flat indices of the targets outside the hole, then of the hole's pixels from the rim inwards.

    Each of the latter is one pixel wide.
    """
    gap = (role & GAP) > 0
    ring = np.where(gap, np.ceil(depth), 0).astype(np.int32)
    places = np.flatnonzero(((role & TARGET) > 0) | gap).astype(np.int32)
    places = places[np.argsort(ring.ravel()[places], kind="stable")]
    sizes = np.bincount(ring.ravel()[places], minlength=1)
    return np.split(places, np.cumsum(sizes)[:-1])


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
    gap = (role & GAP) > 0
    even = np.add.outer(np.arange(gap.shape[0]), np.arange(gap.shape[1])) % 2 == 0
    halves = [np.flatnonzero(gap & half).astype(np.int32) for half in (even, ~even)]
    for sweep in range(60):
        _relax_steps(halves[sweep % 2], result, role, right, down, filled, hold)
    return np.clip(result, 0, 1)
