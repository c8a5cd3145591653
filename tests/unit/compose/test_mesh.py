"""The kernel that draws bent sheets, against its slow twin."""

from __future__ import annotations

import numpy as np

from talkcli.compose.mesh import sheet_places

HEIGHT, WIDTH, STEP = 40, 50, 6


def bent(depth_step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A sheet that folds over itself, with a cell missing."""
    y, x = np.mgrid[0 : HEIGHT + 2 * STEP : STEP, 0 : WIDTH + 2 * STEP : STEP].astype(np.float32)
    places = np.stack([x, y], -1)
    rng = np.random.default_rng(3)
    nodes = np.stack(
        [x + 9 * np.sin(x / 7), y + rng.normal(0, 1.5, y.shape), 100 + x * depth_step], -1
    )
    cells = np.ones((len(x) - 1, x.shape[1] - 1), bool)
    cells[2, 3] = False
    return nodes.astype(np.float32), places, cells


def drawn_slowly(
    nodes: np.ndarray, places: np.ndarray, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Place and depth of the nearest triangle over each pixel, triangle by triangle."""
    found = np.full((HEIGHT, WIDTH, 2), np.nan)
    depth = np.full((HEIGHT, WIDTH), np.inf)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for i, j in np.argwhere(cells):
        for corners in ([(i, j), (i, j + 1), (i + 1, j)], [(i + 1, j + 1), (i, j + 1), (i + 1, j)]):
            a, b, c = (nodes[corner].astype(float) for corner in corners)
            system = np.array([[a[0], b[0], c[0]], [a[1], b[1], c[1]], [1, 1, 1]])
            shares = np.linalg.solve(system, np.stack([x, y, np.ones_like(x)]).reshape(3, -1))
            shares = shares.reshape(3, HEIGHT, WIDTH)
            away = np.tensordot([a[2], b[2], c[2]], shares, 1)
            nearer = (shares > -1e-6).all(0) & (away < depth)
            depth[nearer] = away[nearer]
            there = np.stack([places[corner] for corner in corners], 1).astype(float)
            found[nearer] = np.tensordot(there, shares, 1).transpose(1, 2, 0)[nearer]
    return found, depth


def test_places_are_those_of_the_nearest_triangle() -> None:
    for depth_step in (0.5, -0.5):
        sheet = bent(depth_step)
        wanted, depth = drawn_slowly(*sheet)
        across, down, there = sheet_places(*sheet, (HEIGHT, WIDTH))
        # Which side of an edge a pixel lies on, single precision may decide the other way.
        both = (there > 0) & np.isfinite(depth)
        assert ((there > 0) != np.isfinite(depth)).mean() < 0.005
        error = np.abs(np.stack([across, down], -1) - wanted)[both].max(-1)
        # Pixels; 1e-3 is the rounding of single precision in coordinates of up to 60 pixels.
        assert (error > 1e-3).mean() < 0.005


def test_a_missing_cell_is_a_hole() -> None:
    nodes, places, cells = bent(0.5)
    nodes[..., :2] = places
    across, down, there = sheet_places(nodes, places, cells, (HEIGHT, WIDTH))
    assert not there[2 * STEP + 1 : 3 * STEP, 3 * STEP + 1 : 4 * STEP].any()
    assert there.sum() == there.size - (STEP - 1) ** 2
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    np.testing.assert_allclose(across[there > 0], x[there > 0], atol=1e-4)
    np.testing.assert_allclose(down[there > 0], y[there > 0], atol=1e-4)
