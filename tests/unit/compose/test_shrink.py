"""The head's own shrinking gives the bits of OpenCV's area interpolation."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from talkcli.compose.shrink import HeadShrinker, Taps


def head(side: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise in a box that is not in the middle, and single covered pixels at the border."""
    rng = np.random.default_rng(seed)
    alpha = np.zeros((side, side), np.float32)
    box = np.s_[side // 5 : side // 2, side // 3 : side - 1]
    alpha[box] = rng.random(alpha[box].shape)
    alpha[0, side - 1] = alpha[side - 1, 0] = alpha[side // 2, side // 2] = 1
    return (rng.random((side, side, 3)) * alpha[..., None]).astype(np.float32), alpha


@pytest.mark.parametrize(
    ("side", "target"),
    [
        (512, (481, 481)), (512, (100, 333)), (640, (213, 512)), (64, (64, 63)), (37, (36, 11)),
        (1024, (1023, 1001)), (512, (256, 300)), (101, (1, 3)),
    ],
)  # fmt: skip
def test_heads_shrink_as_by_area_interpolation(side: int, target: tuple[int, int]) -> None:
    shrink = HeadShrinker(side, target)
    # The second call must not show the first one's head.
    shrink(*head(side, seed=1))
    nothing = np.zeros((side, side, 3), np.float32), np.zeros((side, side), np.float32)
    for rgb, alpha in (head(side), nothing):
        wanted_rgb, wanted = (
            cv2.resize(image, target, interpolation=cv2.INTER_AREA) for image in (rgb, alpha)
        )
        colors, cover = shrink(rgb, alpha)
        np.testing.assert_array_equal(cover, wanted)
        seen = cover > 0
        np.testing.assert_array_equal(colors[seen], wanted_rgb[seen])


@pytest.mark.parametrize(("source", "target"), [(512, 481), (10, 10), (1000, 1), (7, 3)])
def test_shares_add_up_and_every_pixel_counts_alike(source: int, target: int) -> None:
    taps = Taps.of(source, target)
    np.testing.assert_allclose(taps.weights.sum(1), 1, atol=1e-6)
    given = np.zeros(source + taps.weights.shape[1])
    np.add.at(given, taps.first[:, None] + np.arange(taps.weights.shape[1]), taps.weights)
    np.testing.assert_allclose(given[:source], target / source, atol=2e-3)
    assert not given[source:].any()
