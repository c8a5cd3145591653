"""Bilateral normal integration of surfaces whose depth is known."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.engines.portrait.build.normals import Pinhole, Prior, integrate_normals

SIDE = 64
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE] + 0.5
MIDDLE = SIDE / 2
WHOLE = np.ones((SIDE, SIDE), bool)


def normals_of(slope_x: np.ndarray, slope_y: np.ndarray) -> np.ndarray:
    """Of a depth with these slopes, towards the camera."""
    found = np.stack([slope_x, slope_y, -np.ones_like(slope_x)], 2)
    return found / np.linalg.norm(found, axis=2, keepdims=True)


def off(found: np.ndarray, wanted: np.ndarray, mask: np.ndarray = WHOLE) -> float:
    """Root mean square difference of depths, each about its mean, pixels."""
    a, b = found[mask] - found[mask].mean(), wanted[mask] - wanted[mask].mean()
    return float(np.sqrt(np.mean((a - b) ** 2)))


def ball() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth, normals and mask of a cap of a ball of 30 pixels, up to 66° of slope."""
    x, y = COLUMNS - MIDDLE, ROWS - MIDDLE
    inside = x**2 + y**2 < 27.5**2
    height = np.sqrt(np.maximum(30**2 - x**2 - y**2, 1))
    return -height, normals_of(x / height, y / height), inside


@pytest.mark.parametrize("stiffness", [0.0, 2.0])
def test_a_ball_is_a_ball(stiffness: float) -> None:
    depth, normals, mask = ball()
    found = integrate_normals(normals, mask, stiffness=stiffness)
    assert np.isnan(found[~mask]).all() and found.dtype == np.float32
    # The cap is 18 deep. Slopes at pixels, not between them, cost a few hundredths of that.
    assert off(found, depth, mask) < 0.25


def flap() -> tuple[np.ndarray, np.ndarray]:
    """A plane from which a flap is cut at the middle column and folds up towards the last row."""
    lift = 0.5 * np.maximum(ROWS - MIDDLE, 0) * (COLUMNS > MIDDLE)
    slope_y = 0.5 * ((ROWS > MIDDLE) & (COLUMNS > MIDDLE))
    depth = 0.2 * COLUMNS + lift
    return depth, normals_of(np.full((SIDE, SIDE), 0.2), slope_y)


def test_a_step_stays_a_step() -> None:
    depth, normals = flap()
    found = integrate_normals(normals, WHOLE)
    plain = integrate_normals(normals, WHOLE, stiffness=0.0)
    # The flap rises to 16. Plain integration bends everything for it to be whole.
    assert off(plain, depth) > 1.5
    assert off(found, depth) < 0.25
    last = found[-1, SIDE // 2 - 1 : SIDE // 2 + 1]
    assert np.diff(last)[0] == pytest.approx(16, abs=1)


def test_parts_that_a_prior_knows_stand_where_it_says() -> None:
    _, normals, mask = ball()
    apart = mask & (np.abs(COLUMNS - MIDDLE) > 2)
    depth = np.where(COLUMNS > MIDDLE, 100.0, 40.0) + ball()[0]
    weight = 1e-2 * (ROWS.astype(int) == 32) * apart
    found = integrate_normals(normals, apart, prior=Prior(depth, weight))
    # Pinned along one row, halves that do not touch are 60 apart.
    assert np.sqrt(np.mean((found - depth)[apart] ** 2)) < 0.3


def test_a_camera_sees_a_slanted_plane() -> None:
    camera = Pinhole(80.0, (MIDDLE, MIDDLE))
    u, v = (COLUMNS - MIDDLE) / 80, (ROWS - MIDDLE) / 80
    normal = np.array([0.3, -0.2, -1.0])
    # Of points p = z (u, v, 1) with n · p = -10.
    depth = -10 / (normal[0] * u + normal[1] * v + normal[2])
    normals = np.broadcast_to(normal / np.linalg.norm(normal), (SIDE, SIDE, 3))
    found = integrate_normals(normals, WHOLE, camera=camera)
    ratio = found / depth
    assert ratio.std() / ratio.mean() < 2e-3
    prior = Prior(depth, np.where(WHOLE, 1e-3, 0))
    np.testing.assert_allclose(
        integrate_normals(normals, WHOLE, camera=camera, prior=prior), depth, rtol=5e-3
    )


def test_nothing_gives_nothing() -> None:
    found = integrate_normals(np.zeros((4, 5, 3)), np.zeros((4, 5), bool))
    assert found.shape == (4, 5) and np.isnan(found).all()
