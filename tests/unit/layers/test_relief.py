"""Bodies inflated from their matte."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.layers.relief import body_relief

STEP_CM, AXIS_CM = 0.4, 100.0
ROWS, COLUMNS = 90, 140


def heights(cover: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """By how much the surface is nearer to the camera than the neck's axis, cm."""
    unknown = np.full(cover.shape, np.nan, np.float32)
    return AXIS_CM - body_relief(cover, unknown if known is None else known, STEP_CM, AXIS_CM)


def broad() -> np.ndarray:
    """A body whose outline is the row 20, and which goes on beyond the grid."""
    cover = np.zeros((ROWS, COLUMNS), np.float32)
    cover[20:] = 1
    return cover


def test_a_broad_body_rises_to_half_a_chest_and_no_further() -> None:
    high = heights(broad())
    inside = np.arange(ROWS - 20) * STEP_CM
    column = high[20:, COLUMNS // 2]
    # cm; the heights at 1, 5.5 and 15 cm that the module promises, less the outline's .5 behind.
    assert np.interp([1, 5.5, 15], inside, column) == pytest.approx([3.5, 6.5, 8.1], abs=0.5)
    assert column.max() < 9 and (np.diff(column) > -1e-3).all()
    # No side of the grid is an outline.
    np.testing.assert_allclose(high[:, 0], high[:, COLUMNS // 2], atol=1e-3)


def test_outside_the_surface_lies_at_the_depth_of_the_outline() -> None:
    assert heights(broad())[:10] == pytest.approx(-0.5, abs=0.1)


def test_an_arm_is_lower_than_a_chest() -> None:
    cover = np.zeros((ROWS, COLUMNS), np.float32)
    cover[:, 60:80] = 1  # 8 cm wide
    assert 2 < heights(cover)[ROWS // 2, 70] < 5


def test_a_slit_between_arm_and_chest_is_bridged() -> None:
    cover = broad()
    cover[40:, 70:74] = 0  # 1.6 cm
    np.testing.assert_allclose(heights(cover)[60, 72], heights(broad())[60, 72], atol=0.3)


def test_the_surface_is_bent_to_what_is_known_and_leaves_it_smoothly() -> None:
    known = np.full((ROWS, COLUMNS), np.nan, np.float32)
    known[20:50, 60:80] = AXIS_CM - 3
    high = heights(broad(), known)
    assert high[30:45, 65:75] == pytest.approx(3, abs=0.1)
    # A step of the grid is .4 cm; nothing is steeper than 45° around the known part.
    assert np.abs(np.diff(high[30:80, 70])).max() < STEP_CM
    np.testing.assert_allclose(high[80, 5], heights(broad())[80, 5], atol=0.2)
