"""The bald head around the face: a radius in every direction from a point between the ears.

The table is that of ICT-FaceKit's mean head (``talkcli train face``): without ears, symmetric, and
continued down the neck. An ellipsoid in its place has a crown 2 to 3 cm too low at the back, and
hair above it, scaled to the silhouette, stands off the nape like a helmet.
"""

from __future__ import annotations

import cv2
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

    Args:
        table: ``[ROWS, COLUMNS]``, see :class:`talkcli.face.model.FaceModel`.
        rows: of the grid, with elevations from :data:`HIGHEST_DEG` to :data:`LOWEST_DEG`.
        columns: of the grid; the middles of their azimuths divide the circle, from behind.
    """
    height, width = table.shape
    wrapped = np.concatenate([table[:, -2:], table, table[:, :2]], 1).astype(np.float32)
    x = (np.arange(columns, dtype=np.float32) + 0.5) * (width / columns) + 1.5
    y = np.linspace(0, height - 1, rows, dtype=np.float32)
    map_x = np.array(np.broadcast_to(x, (rows, columns)))
    map_y = np.array(np.broadcast_to(y[:, None], (rows, columns)))
    return np.asarray(
        cv2.remap(wrapped, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    )
