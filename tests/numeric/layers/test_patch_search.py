"""The kernels of patch filling against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.layers import patch_search as ps
from talkcli.layers.patches import fill_patches

H, W = 40, 53


def reference_cost(
    image: np.ndarray, weight: np.ndarray, target: tuple[int, int], source: tuple[int, int]
) -> tuple[float, np.ndarray]:
    """Cost of a source as a match, and its colour shift, straight from the definition."""
    (ty, tx), (sy, sx) = target, source
    reach = range(-ps.RADIUS, ps.RADIUS + 1)
    pairs = [
        (weight[ty + j, tx + i], image[ty + j, tx + i] - image[sy + j, sx + i])
        for j in reach
        for i in reach
        if 0 <= ty + j < len(image) and 0 <= tx + i < image.shape[1]
    ]
    total = sum(g for g, _ in pairs) + 1e-6
    mean = sum(g * d for g, d in pairs) / total
    shift = np.clip(0.75 * mean, -ps.BIAS, ps.BIAS)
    unlike = sum(g * ((d - shift) ** 2).sum() for g, d in pairs) / total
    far = ((ty - sy) ** 2 * 2 + (tx - sx) ** 2) / (0.3 * max(image.shape[:2])) ** 2
    return unlike + 0.5 * (shift**2).sum() + ps.NEAR * far, shift


@pytest.fixture
def scene() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    image = rng.random((H, W, 3), np.float32)
    weight = rng.random((H, W)).astype(np.float32)
    role = np.zeros((H, W), np.uint8)
    # A hole that reaches two borders, beside pixels to copy from.
    role[:, 30:] = ps.TARGET | ps.GAP
    inner = slice(ps.RADIUS, -ps.RADIUS)
    role[inner, ps.RADIUS : 27] |= ps.SOURCE
    rows, columns = np.nonzero(role & ps.SOURCE)
    pick = rng.integers(0, len(rows), (H, W))
    match = np.stack([rows[pick], columns[pick]], -1).astype(np.int32)
    return {"image": image, "weight": weight, "role": role, "match": match}


def test_search_gives_the_cost_of_what_it_finds(scene: dict[str, np.ndarray]) -> None:
    image, weight, role, match = scene.values()
    targets = np.flatnonzero(role & ps.TARGET).astype(np.int32)
    found, fit = match.copy(), np.zeros((H, W, 4), np.float32)
    sheets = ps.sheet(image).ravel(), ps.sheet(np.repeat(weight[..., None], 3, -1)).ravel()
    ps.shared(ps.search_targets, targets, sheets, role, match, found, fit, 0)
    better = 0
    for index in targets[:: len(targets) // 60]:
        y, x = divmod(int(index), W)
        cost, shift = reference_cost(image, weight, (y, x), tuple(found[y, x]))
        # Sums of 49 float32 of size 1: 2e-6 were seen.
        np.testing.assert_allclose(fit[y, x, 3], cost, atol=1e-5)
        np.testing.assert_allclose(fit[y, x, :3], shift, atol=1e-5)
        before, _ = reference_cost(image, weight, (y, x), tuple(match[y, x]))
        assert cost < before + 1e-5
        better += cost < before - 1e-5
        assert role[tuple(found[y, x])] & ps.SOURCE
    # Thirteen candidates against one: nearly always one of them is better.
    assert better > 50


def test_votes_are_weighted_means_of_the_matched_patches(scene: dict[str, np.ndarray]) -> None:
    image, weight, role, match = scene.values()
    fit = np.random.default_rng(4).normal(0, 0.05, (H, W, 4)).astype(np.float32)
    vote = np.where(role & ps.TARGET, weight, 0).astype(np.float32)
    pixels = np.flatnonzero(role & ps.GAP).astype(np.int32)
    out = np.full((H, W, 3), np.nan, np.float32)
    ps.shared(ps.vote_pixels, pixels, image, vote, role, match, fit, out)
    assert np.isnan(out[role & ps.GAP == 0]).all()
    for y, x in ((0, 30), (H - 1, W - 1), (17, 40)):
        total, color = 0.0, np.zeros(3)
        for j in range(max(0, y - ps.RADIUS), min(H, y + ps.RADIUS + 1)):
            for i in range(max(0, x - ps.RADIUS), min(W, x + ps.RADIUS + 1)):
                sy, sx = match[j, i] + (y - j, x - i)
                total += vote[j, i]
                color += vote[j, i] * (image[sy, sx] + fit[j, i, :3])
        # Means of 49 float32: 3e-7 were seen.
        np.testing.assert_allclose(out[y, x], color / total, atol=2e-6)


def test_a_fill_is_the_same_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    image = rng.random((130, 150, 3), np.float32)
    hole = np.zeros((130, 150), bool)
    hole[30:90, 50:110] = True
    fills = []
    for threads in (1, 3):
        monkeypatch.setattr(ps.runtime, "thread_count", lambda count=threads: count)
        fills.append(fill_patches(image, hole, ~hole))
    np.testing.assert_array_equal(*fills)
