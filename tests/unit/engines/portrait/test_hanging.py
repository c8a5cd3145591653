"""Hair beside the neck: bobs turn with the head, long hair and clothes do not."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.engines.portrait.build.hanging import hanging_hair

SIDE, FACE = 200, 80.0
SKIN, DARK, CLOTH, WALL = (0.8, 0.6, 0.5), (0.2, 0.15, 0.1), (0.2, 0.3, 0.7), (0.9, 0.9, 0.9)
Y, X = np.mgrid[:SIDE, :SIDE].astype(np.float32)
#: The jaw's line, and the neck's axis and half width.
JAW, AXIS, HALF = 120.0, 100.0, 18.0


def picture(hair_ends: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A face with hair beside it down to ``hair_ends`` (face heights below the jaw)."""
    random = np.random.default_rng(2)
    rgb = np.empty((SIDE, SIDE, 3), np.float32)
    rgb[:] = WALL
    face = ((X - AXIS) / 30) ** 2 + ((Y - 80) / 42) ** 2 < 1
    hair = (np.abs(X - AXIS) < 44) & (Y > 20) & (JAW + hair_ends * FACE > Y)
    neck = (np.abs(X - AXIS) < HALF) & (Y > 100)
    chest = Y > JAW + 0.6 * FACE
    for part, color in ((chest, CLOTH), (hair, DARK), (neck & ~chest, SKIN), (face, SKIN)):
        rgb[part] = color
    rgb += random.normal(0, 0.02, rgb.shape).astype(np.float32)
    alpha = (face | hair | neck | chest).astype(np.float32)
    distance = np.where(face, 0, np.maximum(1, 30 * (np.hypot((X - AXIS) / 30, (Y - 80) / 42) - 1)))
    return rgb, alpha, distance.astype(np.float32)


def share(hair_ends: float, rgb_of: tuple[float, float, float] | None = None) -> np.ndarray:
    rgb, alpha, distance = picture(hair_ends)
    if rgb_of is not None:
        rgb[np.abs(rgb - DARK).max(-1) < 0.1] = rgb_of
    return hanging_hair(rgb, alpha, (Y - JAW) / FACE, (X - AXIS) / HALF, distance, FACE).free


def test_a_bob_turns_with_the_head() -> None:
    free = share(0.4)
    lock = (np.abs(np.abs(X - AXIS) - 32) < 6) & (Y > JAW + 5) & (Y < JAW + 0.35 * FACE)
    assert free[lock].min() > 0.9
    assert free[(np.abs(X - AXIS) < 10) & (Y > JAW)].max() < 0.1
    assert free[Y > JAW + 0.7 * FACE].max() < 0.05


def test_hair_that_reaches_the_chest_rests_on_it() -> None:
    assert share(0.85).max() == 0


def test_hair_that_the_picture_cuts_off_may_be_long() -> None:
    rgb, alpha, distance = picture(0.4)
    cut = round(JAW + 0.3 * FACE)
    arrays = (rgb, alpha, (Y - JAW) / FACE, (X - AXIS) / HALF, distance)
    assert hanging_hair(*(array[:cut] for array in arrays), face_height=FACE).free.max() == 0


@pytest.mark.parametrize("color", [SKIN, (0.78, 0.62, 0.5)])
def test_nothing_hangs_from_a_bald_head(color: tuple[float, float, float]) -> None:
    assert share(0.4, color).max() == 0


@pytest.mark.parametrize("ends", [0.4, 0.85])
def test_how_far_hair_falls(ends: float) -> None:
    rgb, alpha, distance = picture(ends)
    found = hanging_hair(rgb, alpha, (Y - JAW) / FACE, (X - AXIS) / HALF, distance, FACE)
    # Rows are 1/80 of a face height, and one in fifty pixels is left out.
    assert found.falls_fh == pytest.approx(ends, abs=0.04)


def falls(rgb: np.ndarray, alpha: np.ndarray, distance: np.ndarray) -> float:
    return hanging_hair(rgb, alpha, (Y - JAW) / FACE, (X - AXIS) / HALF, distance, FACE).falls_fh


def test_a_dark_coat_is_no_hair() -> None:
    """Hair to .4 below the jaw, and a coat of its colour that begins at .2 and is wider."""
    rgb, alpha, distance = picture(0.4)
    coat = (JAW + 0.2 * FACE < Y) & (np.abs(X - AXIS) < 90) & (np.abs(X - AXIS) > HALF)
    rgb[coat], alpha[coat] = DARK, 1
    # Without the shoulders' limit it goes on to the picture's end.
    assert falls(rgb, alpha, distance) < 0.4


def test_a_neck_in_shadow_and_a_halo_are_no_hair() -> None:
    """Short black hair; beside the neck, dark skin, and a seam of hair 3 pixels wide."""
    rgb, alpha, distance = picture(-0.15)
    black = np.abs(rgb - DARK).max(-1) < 0.1
    rgb[black] *= 0.3
    beside = (np.abs(X - AXIS) < 30) & (np.abs(X - AXIS) > 0.8 * HALF) & (Y > 100) & (distance > 0)
    rgb[beside & (JAW + 0.4 * FACE > Y)] = np.array(SKIN) * 0.38
    alpha[beside] = 1
    halo = (np.abs(np.abs(X - AXIS) - 32) < 2) & (Y > 95) & (JAW + 0.5 * FACE > Y)
    rgb[halo], alpha[halo] = np.array(DARK) * 0.3, 1
    assert falls(rgb, alpha, distance) == 0
