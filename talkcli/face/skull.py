"""The bald head around the face: a radius in every direction from a point between the ears.

The table is that of ICT-FaceKit's mean head (``talkcli train face``): without ears, symmetric, and
continued down the neck. An ellipsoid in its place has a crown 2 to 3 cm too low at the back, and
hair above it, scaled to the silhouette, stands off the nape like a helmet.
"""

from __future__ import annotations

import numpy as np

from talkcli.shapes import Float, Float32

#: The point from which a head is star-shaped, head frame, centimetres.
CENTRE = np.array([0.0, 1.0, -3.5], np.float32)
#: Elevations of the first and the last row of tables, degrees.
HIGHEST_DEG, LOWEST_DEG = 89.0, -80.0
#: Rows of the shipped table, and columns, which go around from behind.
ROWS, COLUMNS = 35, 48


def skull_radii(
    table: Float[np.ndarray, "E A"], rows: int, columns: int
) -> Float32[np.ndarray, "rows columns"]:
    """Distance of the bald head's surface from :data:`CENTRE` on a grid of directions, cm.

    Between the table's directions the inverse of the distance is interpolated, which varies as a
    cosine along a straight neck. The distance itself doubles there within six rows, and OpenCV's
    cubics, which do not even follow a ramp, made waves of .1 cm of a neck's outline.

    Args:
        table: ``[ROWS, COLUMNS]``, see :class:`talkcli.face.model.FaceModel`.
        rows: of the grid, with elevations from :data:`HIGHEST_DEG` to :data:`LOWEST_DEG`.
        columns: of the grid; the middles of their azimuths divide the circle, from behind.
    """
    height, width = table.shape
    wrapped = np.concatenate([table[:, -2:], table, table[:, :2]], 1)
    # Beyond its first and last row, the table goes on as it is there.
    inverse = 1 / np.pad(wrapped, ((1, 2), (0, 1)), mode="edge")
    x = (np.arange(columns) + 0.5) * (width / columns) + 1.5
    y = np.linspace(1, height, rows)
    return (1 / (_cubic(y, len(inverse)) @ inverse @ _cubic(x, inverse.shape[1]).T)).astype(
        np.float32
    )


def _cubic(places: np.ndarray, count: int) -> np.ndarray:
    """``[n, count]`` weights of the values at places ``[n]`` between them: Catmull and Rom's."""
    whole = np.floor(places).astype(int)
    t = places - whole
    weights = np.zeros((len(places), count))
    parts = (
        ((2 - t) * t - 1) * t,
        (3 * t - 5) * t**2 + 2,
        ((4 - 3 * t) * t + 1) * t,
        (t - 1) * t**2,
    )
    for step, part in zip((-1, 0, 1, 2), parts, strict=True):
        np.add.at(weights, (np.arange(len(places)), whole + step), part / 2)
    return weights
