"""Single hairs beside a matte."""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.layers.matte import Matte
from talkcli.layers.strands import loose_strands

SIDE, FACE_PX = 240, 90.0
INSIDE = (0, 0, SIDE, SIDE)
HAIR, WALL = np.float32([0.1, 0.07, 0.05]), np.float32([0.8, 0.82, 0.85])


def head() -> np.ndarray:
    alpha = np.zeros((SIDE, SIDE), np.float32)
    cv2.circle(alpha, (120, 150), 60, 1, -1, cv2.LINE_AA)
    return alpha


def hair(alpha: np.ndarray, picture: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """A hair from the head's outline up to the left; where it covers the picture."""
    line = np.zeros((SIDE, SIDE), np.float32)
    cv2.line(line, (100, 96), (85, 80), 1, 1, cv2.LINE_AA)
    line *= 0.6 * (alpha < 0.01)
    picture[:] = picture + (colour - picture) * line[..., None]
    return line


def scene(noise: float = 0.002) -> tuple[np.ndarray, np.ndarray]:
    alpha = head()
    wall = WALL + np.random.default_rng(2).normal(0, noise, (SIDE, SIDE, 3))
    return alpha, np.clip(wall + (HAIR - wall) * alpha[..., None], 0, 1).astype(np.float32)


def matte(alpha: np.ndarray) -> Matte:
    return Matte(alpha, np.tile(HAIR, (SIDE, SIDE, 1)))


def test_a_hair_is_found_and_drawn_as_it_was() -> None:
    alpha, picture = scene()
    wall = picture.copy()
    line = hair(alpha, picture, HAIR)
    found = loose_strands(picture, matte(alpha), FACE_PX, INSIDE)
    solid = line > 0.2
    assert (found[..., 3][solid] > 0.1).mean() > 0.9
    again = wall + (found[..., :3] - wall) * found[..., 3:]
    # Its last pixel before the head is not told from the head; without any it would be .4.
    assert np.abs(again - picture)[solid].mean() < 0.05
    assert (found[..., 3][line == 0] > 0.05).mean() < 0.001


def test_the_head_itself_is_none() -> None:
    alpha, picture = scene()
    found = loose_strands(picture, matte(alpha), FACE_PX, INSIDE)
    assert not found[..., 3][alpha > 0.02].any()
    assert (found[..., 3] > 0.05).sum() < 5


def test_marks_of_another_colour_stay_on_the_wall() -> None:
    alpha, picture = scene()
    hair(alpha, picture, np.float32([0.9, 0.1, 0.1]))
    assert not (loose_strands(picture, matte(alpha), FACE_PX, INSIDE)[..., 3] > 0.05).any()


def test_nothing_is_sought_before_texture_or_beyond_the_picture() -> None:
    alpha, picture = scene(noise=0.03)
    hair(alpha, picture, HAIR)
    assert not loose_strands(picture, matte(alpha), FACE_PX, INSIDE)[..., 3].any()
    alpha, picture = scene()
    hair(alpha, picture, HAIR)
    below = loose_strands(picture, matte(alpha), FACE_PX, (0, 100, SIDE, SIDE))
    assert not below[:100, :, 3].any()
