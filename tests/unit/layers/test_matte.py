"""The matte: kernels on pictures with known alpha, the whole on real ones where there are any."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from talkcli.face.topology import CHIN_TIP, FACE_OVAL, FOREHEAD_TOP, NOSE_TIP
from talkcli.layers.closed_form import nearest_index, sample_alpha, solve_matte
from talkcli.layers.colors import split_layers
from talkcli.layers.matte import person_alpha, person_matte

SIZE = 160


def hair_disc(seed: int = 0) -> np.ndarray:
    """Alpha of a disc with strands standing out of it."""
    rng = np.random.default_rng(seed)
    alpha = np.zeros((4 * SIZE, 4 * SIZE), np.uint8)
    centre = np.array([2 * SIZE, 2 * SIZE])
    cv2.circle(alpha, tuple(centre.tolist()), 200, 255, -1)
    for angle in rng.uniform(0, 2 * np.pi, 120):
        way = np.array([np.cos(angle), np.sin(angle)])
        bend = rng.uniform(-0.2, 0.2)
        tip = centre + 250 * np.array([np.cos(angle + bend), np.sin(angle + bend)])
        points = np.round([centre + 190 * way, tip]).astype(int)
        cv2.line(alpha, tuple(points[0].tolist()), tuple(points[1].tolist()), 255, 5)
    small = cv2.resize(alpha, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255


def layers() -> tuple[np.ndarray, np.ndarray]:
    """Smoothly varying brown foreground and grey-blue background."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE
    front = np.dstack([0.35 + 0.1 * x, 0.2 + 0.1 * y, 0.12 + 0.05 * x])
    back = np.dstack([0.6 + 0.1 * y, 0.7 - 0.1 * x, 0.8 + 0.1 * x])
    return front.astype(np.float32), back.astype(np.float32)


def pictured() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    alpha = hair_disc()
    front, back = layers()
    image = back + (front - back) * alpha[..., None]
    return image, alpha, front, back


def trimap(alpha: np.ndarray, px: int) -> tuple[np.ndarray, np.ndarray]:
    kernel = np.ones((2 * px + 1, 2 * px + 1))
    front = cv2.erode((alpha > 0.99).astype(np.uint8), kernel) > 0
    back = cv2.dilate((alpha > 0.01).astype(np.uint8), kernel) == 0
    return front, back


def test_samples_find_strands() -> None:
    image, alpha, _, _ = pictured()
    front, back = trimap(alpha, 3)
    guess, trust = sample_alpha(image, front, back, 10)
    unknown = ~(front | back)
    assert np.abs(guess - alpha)[unknown].mean() < 0.005  # .0012
    assert np.median(trust[unknown]) > 0.85  # .96


def test_samples_of_equal_colours_are_not_trusted() -> None:
    alpha = hair_disc()
    image = np.full((SIZE, SIZE, 3), 0.4, np.float32)
    front, back = trimap(alpha, 3)
    _, trust = sample_alpha(image, front, back, 10)
    assert trust.max() < 0.01


def test_samples_need_both_sides() -> None:
    none = np.zeros((8, 8), bool)
    guess, trust = sample_alpha(np.zeros((8, 8, 3), np.float32), none, ~none, 4)
    assert not guess.any() and not trust.any()


@pytest.mark.parametrize("grey", [False, True])
def test_colour_lines_carry_alpha_into_the_unknown(grey: bool) -> None:
    image, alpha, _, _ = pictured()
    if grey:  # colour covariances are singular then
        image = np.repeat(image.mean(-1, keepdims=True), 3, 2)
    front, back = trimap(alpha, 3)
    unknown = ~(front | back)
    start = np.where(front, 1, np.where(back, 0, 0.5)).astype(np.float32)
    weight = np.zeros((SIZE, SIZE), np.float32)
    solved = solve_matte(image, start, weight, unknown, start, eps=1e-6, iterations=200)
    assert np.isfinite(solved).all()
    assert np.abs(solved - alpha)[unknown].mean() < 0.012  # .0024 and .0046
    np.testing.assert_array_equal(solved[front], 1)
    np.testing.assert_array_equal(solved[back], 0)


def test_strong_prior_wins() -> None:
    image, alpha, _, _ = pictured()
    everywhere = np.ones((SIZE, SIZE), bool)
    weight = np.full((SIZE, SIZE), 1e4, np.float32)
    prior = np.full_like(alpha, 0.3)
    solved = solve_matte(image, prior, weight, everywhere, alpha, iterations=20)
    np.testing.assert_allclose(solved, 0.3, atol=1e-2)


def test_nothing_unknown_returns_the_start() -> None:
    image, alpha, _, _ = pictured()
    nothing = np.zeros((SIZE, SIZE), bool)
    np.testing.assert_array_equal(solve_matte(image, alpha, alpha, nothing, alpha), alpha)


def test_layers_are_told_apart() -> None:
    image, alpha, front, back = pictured()
    found_front, found_back = split_layers(image, alpha)
    soft = (alpha > 0.1) & (alpha < 0.9)
    # The mixed picture itself is .2 away from the foreground there.
    # .0004 and .0005.
    assert np.abs(found_front - front)[soft].mean() < 0.002
    assert np.abs(found_back - back)[soft].mean() < 0.002
    recomposed = found_back + (found_front - found_back) * alpha[..., None]
    assert np.abs(recomposed - image).max() < 0.003
    assert found_front.shape == image.shape


@pytest.mark.parametrize("shape", [(1, 1), (5, 37), (64, 3)])
def test_layers_of_odd_shapes(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = rng.random((*shape, 3)).astype(np.float32)
    front, back = split_layers(image, rng.random(shape).astype(np.float32))
    assert front.shape == back.shape == image.shape
    assert np.isfinite(front).all() and np.isfinite(back).all()


def test_nearest_index() -> None:
    mask = np.zeros((5, 7), bool)
    mask[1, 1] = mask[4, 6] = True
    index = nearest_index(mask)
    assert index[0, 0] == index[2, 1] == 1 * 7 + 1
    assert index[4, 5] == 4 * 7 + 6


def face_points(size: int) -> np.ndarray:
    """Points that fill an upright oval face in the middle, enough for the matte."""
    points = np.full((478, 3), size / 2, np.float32)
    turns = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
    points[list(FACE_OVAL), 0] = size / 2 + 0.14 * size * np.sin(turns)
    points[list(FACE_OVAL), 1] = size / 2 - 0.18 * size * np.cos(turns)
    assert points[FOREHEAD_TOP, 1] < points[NOSE_TIP, 1] < points[CHIN_TIP, 1]
    return points


def cut_out(size: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """A cut-out bust on nothing, with garbage colours where it is transparent."""
    alpha = np.zeros((size, size), np.float32)
    cv2.ellipse(alpha, (size // 2, size // 2), (50, 66), 0, 0, 360, 1.0, -1)
    cv2.ellipse(alpha, (size // 2, size), (100, 60), 0, 180, 360, 1.0, -1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 1.5)
    rgb = np.full((size, size, 3), [0.8, 0.6, 0.5], np.float32)
    rgb[alpha < 0.02] = [0.0, 1.0, 0.0]
    return rgb, alpha


def test_cut_out_keeps_its_own_alpha() -> None:
    rgb, alpha = cut_out()
    matte = person_matte(rgb, face_points(256), 0.36 * 256, alpha)
    np.testing.assert_allclose(matte.alpha, alpha, atol=0.01)  # far tails are cut
    assert np.abs(matte.foreground - [0.8, 0.6, 0.5]).max() < 1e-6


def test_second_figure_of_a_cut_out_is_left_out() -> None:
    rgb, alpha = cut_out()
    alpha[5:40, 5:40] = 1
    matte = person_matte(rgb, face_points(256), 0.36 * 256, alpha)
    assert matte.alpha[5:40, 5:40].max() == 0
    assert matte.alpha[128, 128] == 1


def test_padding_closes_the_head_and_goes_on_below() -> None:
    rgb, alpha = cut_out()
    inside = (10, 100, 246, 246)  # cuts the head through the forehead
    matte = person_matte(rgb, face_points(256), 0.36 * 256, alpha, inside=inside)
    assert matte.alpha[99, 128] > 0.9 and matte.alpha[:40].max() == 0
    widths = (matte.alpha[60:100] > 0.5).sum(1)
    assert (np.diff(widths) >= 0).all()
    np.testing.assert_array_equal(matte.alpha[246:], np.repeat(matte.alpha[245:246], 10, 0))


def test_rounded_corners_are_no_cut_out() -> None:
    rgb, _ = cut_out()
    disc = np.zeros((256, 256), np.float32)
    cv2.circle(disc, (128, 128), 126, 1.0, -1)
    matte = person_matte(rgb, face_points(256), 0.36 * 256, disc)
    assert matte.alpha[128, 20] < 0.05  # left of the face: opaque, but background
    assert matte.alpha[disc == 0].max() == 0


def test_opaque_alpha_says_nothing() -> None:
    rng = np.random.default_rng(0)
    rgb = cv2.GaussianBlur(rng.random((256, 256, 3)).astype(np.float32), (0, 0), 3)
    opaque = np.ones((256, 256), np.float32)
    with_alpha = person_matte(rgb, face_points(256), 0.36 * 256, opaque)
    without = person_matte(rgb, face_points(256), 0.36 * 256)
    np.testing.assert_array_equal(with_alpha.alpha, without.alpha)
    assert without.alpha[128, 128] == 1  # the face is the person, whatever the network sees


def test_alpha_alone_is_that_of_the_matte() -> None:
    rgb, alpha = cut_out()
    wanted = person_matte(rgb, face_points(256), 0.36 * 256, alpha).alpha
    nowhere = np.zeros(alpha.shape, bool)
    # A cut-out's own outline needs no solving.
    found = person_alpha(rgb, face_points(256), 0.36 * 256, alpha, nowhere)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_alpha_is_sharp_where_that_is_wanted() -> None:
    rng = np.random.default_rng(6)
    _, alpha = cut_out()
    texture = cv2.GaussianBlur(rng.random((256, 256, 3), np.float32), (0, 0), 2)
    rgb = texture * (1 - alpha[..., None]) + np.float32([0.8, 0.6, 0.5]) * alpha[..., None]
    opaque = np.ones_like(alpha)
    left = np.arange(256) < np.full((256, 1), 128)
    everywhere, half = (
        person_alpha(rgb, face_points(256), 0.36 * 256, opaque, sharp)
        for sharp in (np.ones_like(left), left)
    )
    # Away from the border of what is wanted, nothing else changes; the solver's steps depend on
    # all unknown pixels, by .003 at most here.
    np.testing.assert_allclose(half[:, :110], everywhere[:, :110], atol=0.02)
    assert np.abs(half - everywhere)[:, 146:].max() > 0.1


REAL = (
    "portraits/LivePortrait__driving_d8.jpg",  # curls
    "portraits/LivePortrait__driving_d9.jpg",  # yellow wall between strands
    "art/LivePortrait__source_s10.jpg",  # dark on dark, headgear
    "portraits/GeneFace__000002.jpg",  # another person behind
)


@pytest.mark.parametrize("name", REAL)
def test_real_pictures(shared_data: Path, name: str) -> None:
    from talkcli.tracking.landmarks import detect_faces

    picture = cv2.imread(str(shared_data / name))
    scale = 640 / max(picture.shape)
    picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    rgb = np.ascontiguousarray(picture[..., ::-1])
    face = detect_faces(rgb)[0]
    matte = person_matte(rgb.astype(np.float32) / 255, face.points, face.size_px)
    alpha = matte.alpha
    outline = np.round(face.points[list(FACE_OVAL), :2]).astype(np.int32)
    inside = cv2.fillConvexPoly(np.zeros_like(alpha, np.uint8), cv2.convexHull(outline), 1)
    inside = cv2.erode(inside, np.ones((9, 9))) > 0
    assert alpha[inside].mean() > 0.998
    corner = round(0.08 * min(alpha.shape))
    assert alpha[:corner, :corner].max() < 0.05
    assert alpha[:corner, -corner:].max() < 0.05
    # Half-transparent pixels are an outline, not a veil: there are 3 to 8.5 per outline pixel.
    soft = ((alpha > 0.1) & (alpha < 0.9)).sum()
    contours, _ = cv2.findContours((alpha > 0.5).astype(np.uint8), 0, cv2.CHAIN_APPROX_NONE)
    assert soft < 10 * sum(len(c) for c in contours)
    solid = alpha > 0.999
    np.testing.assert_allclose(
        matte.foreground[solid], rgb.astype(np.float32)[solid] / 255, atol=1e-5
    )
