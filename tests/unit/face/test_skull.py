"""The bald head around the face: of a person's size, symmetric, and smooth at any resolution."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.face.model import FaceModel
from talkcli.face.skull import CENTRE, COLUMNS, HIGHEST_DEG, LOWEST_DEG, ROWS, skull_radii


def radius(elevation: float, azimuth: float) -> float:
    """Of the shipped skull, cm; azimuth 0 is the face, 180 the back."""
    radii = skull_radii(FaceModel.load().skull, 170, 360)
    row = round((HIGHEST_DEG - elevation) / (HIGHEST_DEG - LOWEST_DEG) * 169)
    return float(radii[row, int(azimuth + 180) % 360])


def test_a_head_is_as_long_and_wide_as_peoples_are() -> None:
    # Glabella to occiput 18 to 21 cm, breadth above the ears 14 to 16.5 (adults).
    elevation = 12.0
    back = radius(elevation, 179.5) * np.cos(np.radians(elevation))
    front = radius(elevation, 0.5) * np.cos(np.radians(elevation))
    assert 18 < front + back < 21
    assert 14 < 2 * radius(20, 90) * np.cos(np.radians(20)) < 16.5


def test_the_crown_stands_higher_than_the_nape() -> None:
    assert radius(40, 179.5) > radius(-20, 179.5) + 2.5


def test_the_table_is_symmetric() -> None:
    table = FaceModel.load().skull
    assert table.shape == (ROWS, COLUMNS)
    np.testing.assert_allclose(table, table[:, ::-1], atol=1e-5)


def test_its_own_grid_gives_the_table_back() -> None:
    table = FaceModel.load().skull
    np.testing.assert_allclose(skull_radii(table, ROWS, COLUMNS), table, rtol=1e-5)


def test_neither_end_of_the_table_stands_out() -> None:
    radii = skull_radii(np.full((ROWS, COLUMNS), 7.0), 200, 90)
    np.testing.assert_allclose(radii, 7.0, rtol=1e-5)


def test_a_straight_neck_has_no_waves_between_the_rows_of_the_table() -> None:
    def radii_of_cylinder(rows: int) -> tuple[np.ndarray, np.ndarray]:
        elevation = np.radians(np.linspace(HIGHEST_DEG, LOWEST_DEG, rows))
        # Down to 15 cm below the centre.
        neck = (np.degrees(elevation) < -30) & (np.degrees(elevation) > -70)
        return 6 / np.cos(elevation), neck

    table = np.tile(radii_of_cylinder(ROWS)[0][:, None], (1, COLUMNS))
    wanted, neck = radii_of_cylinder(337)
    half_width = skull_radii(table, 337, 4)[:, 0] / wanted * 6
    # Catmull-Rom of a cosine in steps of 5 degrees is off by some 1e-5 of it; waves of .1 cm show.
    np.testing.assert_allclose(half_width[neck], 6, atol=2e-3)


def test_columns_go_around() -> None:
    table = np.tile(np.cos(2 * np.pi * (np.arange(COLUMNS) + 0.5) / COLUMNS) + 5, (ROWS, 1))
    fine = skull_radii(table, 10, 4 * COLUMNS)
    wanted = np.cos(2 * np.pi * (np.arange(4 * COLUMNS) + 0.5) / (4 * COLUMNS)) + 5
    # Cubics of a cosine of 48 samples overshoot by a thousandth of its middle.
    np.testing.assert_allclose(fine, np.tile(wanted, (10, 1)), atol=1e-2)


def test_the_centre_lies_inside() -> None:
    assert FaceModel.load().skull.min() > 5
    assert abs(CENTRE[0]) == pytest.approx(0)
