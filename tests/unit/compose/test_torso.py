"""Torsos that move: the kernel against its slow twin, and what must stay as it was."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from talkcli.compose.blend import Compositor
from talkcli.compose.torso import MovedTorso
from tests.support.pictures import Picture, portrait

HEIGHT, WIDTH, FACE = 90, 120, 100.0
STAYS = np.eye(3)[:2]


def leaning(turn: float, right: float, down: float) -> np.ndarray:
    """A turn about the picture's lower edge, radians, and a shift in pixels."""
    c, s = np.cos(turn), np.sin(turn)
    middle = np.array([WIDTH / 2, HEIGHT])
    linear = np.array([[c, -s], [s, c]])
    return np.column_stack([linear, middle - linear @ middle + (right, down)])


def layers(left: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A grainy picture, a soft torso in it from column ``left`` on, and what is behind."""
    rng = np.random.default_rng(5)
    noise = np.float32(rng.random((HEIGHT, WIDTH, 3)))
    still = np.round(cv2.GaussianBlur(noise, (0, 0), 2) * 255) / np.float32(255)
    cover = np.zeros((HEIGHT, WIDTH), np.float32)
    cover[40:, left:-30] = 1
    cover = np.where(cv2.dilate(cover, np.ones((5, 5))) > 0, cv2.GaussianBlur(cover, (0, 0), 1), 0)
    behind = np.where(
        cv2.dilate(cover, np.ones((3, 3)))[..., None] > 0,
        rng.integers(90, 160, still.shape),
        np.round(still * 255),
    ).astype(np.uint8)
    return still, cover, behind


def cubic(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The image at other places, by Catmull-Rom; mirrored below, continued elsewhere."""

    def weights(t: np.ndarray) -> tuple[np.ndarray, ...]:
        cubed, squared = t**3, t**2
        return (
            (-cubed + 2 * squared - t) / 2, (3 * cubed - 5 * squared + 2) / 2,
            (-3 * cubed + 4 * squared + t) / 2, (cubed - squared) / 2,
        )  # fmt: skip

    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    total = np.zeros_like(image)
    for j, wy in enumerate(weights(y - top)):
        row = np.minimum(top + j - 1, 2 * (HEIGHT - 1) - (top + j - 1))
        for i, wx in enumerate(weights(x - left)):
            column = np.clip(left + i - 1, 0, WIDTH - 1)
            total += (wy * wx)[..., None] * image[np.clip(row, 0, HEIGHT - 1), column]
    return total


def drawn_slowly(
    still: np.ndarray, cover: np.ndarray, behind: np.ndarray, affine: np.ndarray
) -> np.ndarray:
    """What a torso that touches no side looks like once it has moved."""
    torso = still - (1 - cover[..., None]) * behind / 255
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    source = cv2.invertAffineTransform(affine) @ np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
    at = source.reshape(2, HEIGHT, WIDTH) - 0.5
    moved = cubic(np.dstack([torso, cover]), *at)
    return 255 * np.clip(moved[..., :3] + (1 - moved[..., 3:]) * behind / 255, 0, 1)


@pytest.mark.parametrize(
    "affine", [leaning(0, 3, -2), leaning(0.02, -6.3, 4.6), leaning(-0.03, 9.8, -5.5)]
)
def test_moving_does_what_its_slow_twin_does(affine: np.ndarray) -> None:
    still, cover, behind = layers()
    torso = MovedTorso(still, cover, behind, FACE)
    strip = np.zeros((HEIGHT, 3 * WIDTH, 3), np.uint8)
    part = strip[:, WIDTH : 2 * WIDTH]
    part[:] = np.round(255 * still)
    torso.draw(affine, part)
    difference = np.abs(part - drawn_slowly(still, cover, behind, affine))
    # Down and then aside is a warp at once but for the square of the turn: a hundredth of a pixel.
    assert difference.max() < 1.5 and difference.mean() < 0.3  # rounding alone is 0.25
    assert not strip[:, :WIDTH].any() and not strip[:, 2 * WIDTH :].any()


def test_a_torso_that_stays_gives_the_picture_bit_by_bit() -> None:
    still, cover, behind = layers()
    out = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    out[:] = picture = np.round(255 * still).astype(np.uint8)
    MovedTorso(still, cover, behind, FACE).draw(STAYS, out)
    np.testing.assert_array_equal(out, picture)


def test_pixels_out_of_reach_are_not_written() -> None:
    still, cover, behind = layers()
    torso = MovedTorso(still, cover, behind, FACE)
    out = np.full((HEIGHT, WIDTH, 3), 7, np.uint8)
    torso.draw(leaning(0, 500, 0), out)  # cut off at its reach
    rows, columns = torso.box
    written = np.zeros((HEIGHT, WIDTH), bool)
    written[rows, columns] = True
    assert (out[~written] == 7).all()
    assert rows.stop == HEIGHT and 0 < rows.start < 40


def test_no_gap_at_sides_and_lower_edge_of_a_torso_that_they_cut() -> None:
    still, cover, behind = layers(left=0)
    behind[...] = (0, 255, 0)
    out = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    MovedTorso(still, cover, behind, FACE).draw(leaning(0, 8, -6), out)
    inside = np.s_[46:, :60]
    assert not (out[inside] == (0, 255, 0)).all(-1).any()


def test_transparent_torsos_keep_their_colour_where_they_are_soft() -> None:
    _, cover, _ = layers()
    red = np.zeros((HEIGHT, WIDTH, 4), np.float32)
    red[..., 0], red[..., 3] = cover * 0.8, cover
    out = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    MovedTorso(red, cover, None, FACE).draw(leaning(0.01, 5.5, 0.5), out)
    soft = (out[..., 3] > 40) & (out[..., 3] < 215)
    assert soft.sum() > 50
    assert np.abs(out[soft][:, 0].astype(int) - 204).max() <= 3  # rounded twice at .16 of cover
    assert out[..., 3].max() == 255 and out[5, 5, 3] == 0


def test_nothing_covered_is_nothing_drawn() -> None:
    still, cover, _ = layers()
    picture = np.round(255 * still).astype(np.uint8)
    torso = MovedTorso(still, np.zeros_like(cover), picture, FACE)
    out = np.full((HEIGHT, WIDTH, 3), 7, np.uint8)
    torso.draw(leaning(0.01, 3, 1), out)
    assert (out == 7).all() and out[torso.box].size == 0


def scene() -> Picture:
    """A grey picture with a dark torso, and nothing but grey behind it."""
    found = portrait()
    found.source[:] = 200, 200, 200, 255
    found.source[60:, 30:100, :3] = 40
    found.plate = np.full_like(found.plate, 200 / 255)
    found.plate[50:, :60] = 40 / 255
    found.torso = np.zeros((96, 128), np.uint8)
    found.torso[60:, 30:100] = 255
    found.behind = np.full((96, 128, 4), 200, np.uint8)
    found.behind[..., 3] = found.torso
    return found


@pytest.mark.parametrize("bg", ["keep", "#0080ff", "transparent"])
def test_frames_show_the_torso_where_its_body_is(bg: str) -> None:
    compositor = Compositor(scene(), bg=bg, moving=True)
    nothing = np.zeros((64, 64, 3), np.float32), np.zeros((64, 64), np.float32)
    canvas = compositor.canvas()
    before = compositor.frame(*nothing).copy()
    shifted = np.float64([[1, 0, 4], [0, 1, 2]])
    moved = compositor.frame(*nothing, canvas, body=shifted).copy()
    np.testing.assert_array_equal(moved[70:90, 44:98], before[68:88, 40:94])
    np.testing.assert_array_equal(moved[:50], before[:50])
    np.testing.assert_array_equal(moved[62:, 30:33], before[40:74, 10:13])  # uncovered
    np.testing.assert_array_equal(compositor.frame(*nothing, canvas), before)


def test_without_what_is_behind_it_a_torso_stays() -> None:
    found = scene()
    found.behind = None
    compositor = Compositor(found, moving=True)
    nothing = np.zeros((64, 64, 3), np.float32), np.zeros((64, 64), np.float32)
    body = np.float64([[1, 0, 4], [0, 1, 2]])
    np.testing.assert_array_equal(compositor.frame(*nothing, body=body), compositor.frame(*nothing))
