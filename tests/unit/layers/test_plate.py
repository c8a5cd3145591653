"""The background plate on pictures whose hidden part is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from talkcli.layers.colors import diffuse
from talkcli.layers.patches import fill_patches
from talkcli.layers.plate import background_plate, still_weight

SIZE = 256
FH = SIZE / 2.75


def person(size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Alpha and head weight of an oval head on a neck and shoulders."""
    alpha = np.zeros((size, size), np.float32)
    fh = size / 2.75
    centre = (size // 2, int(size * 0.42))
    cv2.ellipse(alpha, centre, (int(0.45 * fh), int(0.65 * fh)), 0, 0, 360, 1.0, -1)
    jaw = centre[1] + int(0.6 * fh)
    half = int(0.28 * fh)
    alpha[centre[1] : size, centre[0] - half : centre[0] + half] = 1
    cv2.ellipse(alpha, (size // 2, size), (int(1.1 * fh), int(0.45 * fh)), 0, 180, 360, 1.0, -1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 1.0)
    below = np.clip((np.arange(size) - jaw) / (0.55 * fh), 0, 1)
    weight = np.repeat((1 - below * below * (3 - 2 * below))[:, None], size, 1)
    return alpha, weight.astype(np.float32)


def photograph(background: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """A reddish person before a background."""
    color = np.array([0.7, 0.35, 0.3], np.float32)
    return background + (color - background) * alpha[..., None]


def backdrop(kind: str) -> np.ndarray:
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE
    if kind == "gradient":
        return np.dstack([0.3 + 0.4 * y, 0.5 + 0.2 * x, 0.6 - 0.2 * y]).astype(np.float32)
    if kind == "stripes":
        band = (np.sin(x * 2 * np.pi * 16) > 0).astype(np.float32)
        return np.dstack([0.2 + 0.6 * band, 0.3 + 0.4 * band, 0.7 - 0.3 * band])
    if kind == "horizon":
        sky = (y < 0.45)[..., None]
        return np.where(sky, [0.75, 0.85, 0.95], [0.2, 0.35, 0.15]).astype(np.float32)
    noise = np.random.default_rng(3).random((SIZE, SIZE, 3)).astype(np.float32)
    return np.clip(0.5 + 2.0 * (cv2.GaussianBlur(noise, (0, 0), 1.2) - 0.5), 0, 1)


def uncovered(alpha: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The band beside the head that a turn of 30° lays bare, about 0.2 face heights wide."""
    head = ((alpha > 0.02) & (weight > 0.99)).astype(np.uint8)
    depth = cv2.distanceTransform(head, cv2.DIST_L2, 5)
    return (depth > 0) & (depth < 0.2 * FH)


# Mean errors are .006, .010 and .003; of a smooth fill alone .023, .21 and .13.
@pytest.mark.parametrize(
    ("kind", "limit"), [("gradient", 0.012), ("stripes", 0.025), ("horizon", 0.008)]
)
def test_background_goes_on_behind_the_head(kind: str, limit: float) -> None:
    alpha, weight = person()
    truth = backdrop(kind)
    plate = background_plate(photograph(truth, alpha), alpha, weight)
    band = uncovered(alpha, weight)
    error = np.abs(plate - truth)[band].mean()
    assert error < limit


def test_grain_goes_on_behind_the_head() -> None:
    alpha, weight = person()
    truth = backdrop("grain")
    plate = background_plate(photograph(truth, alpha), alpha, weight)
    band = uncovered(alpha, weight)

    def roughness(image: np.ndarray) -> float:
        return float(np.abs(image - cv2.GaussianBlur(image, (0, 0), 2))[band].mean())

    assert 0.6 * roughness(truth) < roughness(plate) < 1.2 * roughness(truth)


def test_no_trace_of_the_head_is_left() -> None:
    alpha, weight = person()
    plate = background_plate(photograph(backdrop("gradient"), alpha), alpha, weight)
    rim = (cv2.dilate((alpha > 0).astype(np.uint8), np.ones((9, 9))) > 0) & (alpha < 0.99)
    beside = (rim | uncovered(alpha, weight)) & (weight > 0.99)
    beside[:, SIZE // 2 - 30 : SIZE // 2 + 30] = False  # the neck goes on behind the jaw
    redness = plate[..., 0] - plate[..., 2]
    assert redness[beside].max() < 0.15  # as on the wall; the head has 0.4


def test_single_hairs_are_removed() -> None:
    alpha, weight = person()
    picture = photograph(backdrop("gradient"), alpha)
    hair = np.zeros((SIZE, SIZE), np.uint8)
    cv2.line(hair, (148, 54), (166, 40), 1, 1)
    dark = np.where(hair[..., None] > 0, 0.1, picture).astype(np.float32)
    plate = background_plate(dark, alpha, weight)
    assert np.abs(plate - backdrop("gradient"))[hair > 0].max() < 0.01  # .003


def test_lines_that_run_on_are_left() -> None:
    alpha, weight = person()
    wall = backdrop("gradient")
    wall[90:93] = 0.1
    picture = photograph(wall, alpha)
    plate = background_plate(picture, alpha, weight)
    clear = cv2.dilate((alpha > 0.02).astype(np.uint8), np.ones((13, 13))) == 0
    np.testing.assert_array_equal(plate[clear], picture[clear])


def test_torso_and_distant_background_are_untouched() -> None:
    alpha, weight = person()
    picture = photograph(backdrop("grain"), alpha)
    plate = background_plate(picture, alpha, weight)
    still = weight < 0.004
    far = cv2.dilate((alpha > 0).astype(np.uint8), np.ones((61, 61))) == 0
    assert still.any() and far.any()
    np.testing.assert_array_equal(plate[still], picture[still])
    np.testing.assert_array_equal(plate[far], picture[far])


def test_neck_stays_skin() -> None:
    alpha, weight = person()
    green = np.full((SIZE, SIZE, 3), [0.1, 0.8, 0.2], np.float32)
    plate = background_plate(photograph(green, alpha), alpha, weight)
    column = SIZE // 2
    rows = np.flatnonzero((weight[:, column] < 0.95) & (alpha[:, column] > 0.99))
    assert (plate[rows, column, 0] > 0.6).all()


def test_padding_is_no_source() -> None:
    alpha, weight = person()
    picture = photograph(backdrop("gradient"), alpha)
    picture[:40] = [0.0, 0.0, 1.0]
    plate = background_plate(picture, alpha, weight, inside=(0, 40, SIZE, SIZE))
    assert plate[40:][uncovered(alpha, weight)[40:]][:, 2].max() < 0.8
    np.testing.assert_array_equal(plate[:40], np.repeat(plate[40:41], 40, 0))


def test_same_plate_every_time() -> None:
    alpha, weight = person()
    picture = photograph(backdrop("grain"), alpha)
    first = background_plate(picture, alpha, weight)
    np.testing.assert_array_equal(first, background_plate(picture, alpha, weight))


@pytest.mark.parametrize("cover", [0.0, 1.0])
def test_no_background_and_no_person(cover: float) -> None:
    alpha = np.full((SIZE, SIZE), cover, np.float32)
    picture = backdrop("grain")
    plate = background_plate(picture, alpha, np.ones_like(alpha))
    assert np.isfinite(plate).all()
    if not cover:
        np.testing.assert_array_equal(plate, picture)


def test_patches_find_a_planted_copy() -> None:
    rng = np.random.default_rng(0)
    truth = cv2.GaussianBlur(rng.random((160, 160, 3)).astype(np.float32), (0, 0), 1.5)
    truth[20:70, 100:150] = truth[60:110, 30:80]
    hole = np.zeros((160, 160), bool)
    hole[78:92, 48:62] = True
    image = truth.copy()
    image[hole] = 0
    filled = fill_patches(image, hole, ~hole)
    # Smooth continuation misses the truth by .04; the copy is found nearly everywhere.
    assert np.abs(filled - truth)[hole].mean() < 0.001  # .0001
    np.testing.assert_array_equal(filled[~hole], truth[~hole])


def test_diffuse_keeps_what_is_known() -> None:
    image = np.random.default_rng(1).random((40, 50, 2)).astype(np.float32)
    known = np.zeros((40, 50), np.float32)
    known[:, :10] = 1
    image[:, :10] = 0.25
    result = diffuse(image, known)
    np.testing.assert_allclose(result[:, :9], 0.25, atol=1e-5)
    np.testing.assert_allclose(result, 0.25, atol=1e-3)


def test_still_weight_narrows_up_the_neck() -> None:
    alpha, weight = person()
    still = still_weight(alpha, weight, FH)
    assert still[weight < 0.004].min() == 1
    assert still[weight > 0.97].max() == 0
    neck = (weight[:, 0] > 0.2) & (weight[:, 0] < 0.7)
    widths = (still[neck] > 0.5).sum(1)
    assert (np.diff(widths) >= 0).all()
    assert widths[0] < widths[-1]
