"""Image operations of the build against scipy's slower ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from talkcli.engines.portrait.build import images
from talkcli.engines.portrait.build.glasses import _local_quantile


@pytest.fixture
def mask() -> np.ndarray:
    rng = np.random.default_rng(2)
    return ndimage.gaussian_filter(rng.normal(size=(60, 83)), 3) > 0.1


def test_masks_grow_and_shrink_from_four_sides(mask: np.ndarray) -> None:
    for steps in (1, 3):
        grown = ndimage.binary_dilation(mask, iterations=steps)
        np.testing.assert_array_equal(images.dilate(mask, steps), grown)
        for beyond in (False, True):
            kept = ndimage.binary_erosion(mask, iterations=steps, border_value=beyond)
            np.testing.assert_array_equal(images.erode(mask, steps, beyond=beyond), kept)


def test_lowest_and_highest_values_of_a_square() -> None:
    image = np.random.default_rng(3).random((30, 41), np.float32)
    np.testing.assert_array_equal(images.lowest(image, 2), ndimage.minimum_filter(image, 5))
    np.testing.assert_array_equal(images.highest(image, 3), ndimage.maximum_filter(image, 7))


def test_distances(mask: np.ndarray) -> None:
    away = ndimage.distance_transform_edt(~mask)
    np.testing.assert_allclose(images.distance_to(mask), away, atol=1e-4)
    within = ndimage.distance_transform_edt(mask)
    np.testing.assert_allclose(images.inside_distance(mask), within, atol=1e-4)
    distance, index = images.nearest(mask)
    assert mask.ravel()[index].all()
    # OpenCV adds up steps of 5×5 pixels; 3.65 % were seen.
    assert (distance >= away - 1e-4).all()
    assert (distance <= 1.04 * away + 1e-4).all()
    row, column = np.divmod(index, mask.shape[1])
    rows, columns = np.indices(mask.shape)
    np.testing.assert_allclose(distance, np.hypot(row - rows, column - columns), atol=1e-4)


def test_distances_without_anything_to_be_near_to() -> None:
    nothing = np.zeros((5, 7), bool)
    distance, index = images.nearest(nothing)
    assert np.isinf(distance).all() and np.isinf(images.distance_to(nothing)).all()
    np.testing.assert_array_equal(index.ravel(), np.arange(35))
    assert (images.inside_distance(~nothing) == 24).all()


def test_blur_along_one_axis() -> None:
    image = np.random.default_rng(4).random((40, 50), np.float32)
    for axis in (0, 1):
        wanted = ndimage.gaussian_filter1d(image, 2.5, axis=axis, mode="nearest")
        # Both cut the bell off, at 4 sigma.
        np.testing.assert_allclose(images.blur_along(image, 2.5, axis), wanted, atol=2e-4)


def test_window_holds_a_mask_and_its_margin() -> None:
    mask = np.zeros((20, 30), bool)
    mask[4:7, 28] = True
    rows, columns = images.window(mask, 3)
    assert mask[rows, columns].shape == (9, 5)
    assert mask[rows, columns].sum() == mask.sum()
    assert np.zeros((20, 30))[images.window(mask & False, 2)].size <= 4


def test_points_shrink_until_they_are_settled() -> None:
    asked: list[int] = []

    def settled(factor: np.ndarray, which: np.ndarray) -> np.ndarray:
        asked.append(len(which))
        return np.asarray((which % 40 < 20) | (factor <= 0.8))

    done = np.zeros((30, 40), bool)
    shrink = images.shrunk_until(settled, done, 0.5, reach=2)
    assert (shrink[:, :10] == 1).all()
    # The largest of the 16 factors that is small enough.
    assert shrink[:, 25:] == pytest.approx(0.8)
    assert np.diff(shrink[0]).max() <= 1e-6
    # Nobody is asked again once it is settled.
    assert asked[0] == 1200 and asked[1] == 600 and asked[-1] == 0


def test_fill_of_a_ring_has_no_seam() -> None:
    values = np.zeros((24, 64), np.float32)
    values[:, 20:30] = 1
    weights = (np.arange(64) % 64 < 30).astype(np.float32) * np.ones((24, 1), np.float32)
    ring = images.fill_smooth(values, weights, wrap=True)
    thrice = images.fill_smooth(np.tile(values, 3), np.tile(weights, 3))[:, 64:128]
    # Half a ring on either side is nearly as good as a whole one: .023 were seen.
    np.testing.assert_allclose(ring, thrice, atol=0.04)
    line = images.fill_smooth(values, weights)
    assert line[:, -1].min() > ring[:, -1].max() + 0.2


def test_local_quantile() -> None:
    image = ndimage.gaussian_filter(np.random.default_rng(5).random((40, 44)), 2)
    image = image.astype(np.float32)
    wanted = ndimage.percentile_filter(image, 70, size=11)
    # Exact at the 33 levels; between them, it is interpolated.
    step = (image.max() - image.min()) / 32
    assert np.abs(_local_quantile(image, 0.7, 11) - wanted).max() < step
