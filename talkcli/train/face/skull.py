"""The table of a bald head's radii, from the mean head of ICT-FaceKit."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from talkcli.face.skull import CENTRE, COLUMNS, HIGHEST_DEG, LOWEST_DEG, ROWS
from talkcli.shapes import Float, Float32, Integer

#: Rays are cast at twice the table's resolution.
_FINER = 2
#: Elevations and azimuths (degrees, to either side) that hold the ears, and the width of what is
#: taken away there.
_EARS = (-38.0, 22.0, 70.0, 125.0)
_EAR_DEG = 22.0
#: Behind the ears (azimuth) and below this elevation there are shoulders; the neck goes on as it
#: is there.
_NECK_DEG, _NECK_AZIMUTH_DEG, _LOWEST_NECK_DEG = -38.0, 85.0, -75.0
_SMOOTH_DEG = 4.0


def skull_table(
    vertices: Float[np.ndarray, "n 3"], triangles: Integer[np.ndarray, "t 3"]
) -> Float32[np.ndarray, "E A"]:
    """Radii of a head from :data:`talkcli.face.skull.CENTRE`, without ears and eyes.

    Args:
        vertices: ``[n, 3]`` of head and neck, head frame, cm.
        triangles: ``[t, 3]``.

    Returns:
        ``[ROWS, COLUMNS]`` float32 cm, as :func:`talkcli.face.skull.skull_radii` takes it.
    """
    elevation = np.linspace(HIGHEST_DEG, LOWEST_DEG, _FINER * (ROWS - 1) + 1)
    azimuth = ((np.arange(_FINER * COLUMNS) + 0.5) / (_FINER * COLUMNS) * 2 - 1) * 180
    up, around = np.radians(elevation)[:, None], np.radians(azimuth)[None]
    directions = np.stack(
        np.broadcast_arrays(np.cos(up) * np.sin(around), np.sin(up), np.cos(up) * np.cos(around)),
        -1,
    )
    corners = (vertices - CENTRE)[triangles]
    radii = np.array([[_outermost(corners, one) for one in row] for row in directions])
    beside, height = np.abs(azimuth)[None], elevation[:, None]
    below = (height < _NECK_DEG) & (beside > _NECK_AZIMUTH_DEG)
    last = int(np.abs(elevation - _NECK_DEG).argmin())
    neck = radii[last] * np.cos(up[last])
    lowest = np.radians(np.maximum(height, _LOWEST_NECK_DEG))
    radii = np.where(below, neck / np.cos(lowest), radii)
    # Rays through the eyes meet nothing.
    nearest = ndimage.distance_transform_edt(
        np.isnan(radii), return_distances=False, return_indices=True
    )
    radii = radii[tuple(nearest)]
    cell = 180 / (_FINER * COLUMNS / 2)
    width = 2 * round(_EAR_DEG / cell / 2) + 1
    opened = ndimage.grey_opening(radii, size=(width, width), mode=("nearest", "wrap"))
    low, high, front, back = _EARS
    ears = (height > low) & (height < high) & (beside > front) & (beside < back)
    radii = np.where(ears, opened, radii)
    radii = (radii + radii[:, ::-1]) / 2
    sigma = (_SMOOTH_DEG / (elevation[0] - elevation[1]), _SMOOTH_DEG / cell)
    radii = ndimage.gaussian_filter(radii, sigma, mode=("nearest", "wrap"))[::_FINER]
    return np.asarray(radii.reshape(ROWS, COLUMNS, _FINER).mean(2), np.float32)


def _outermost(corners: np.ndarray, direction: np.ndarray) -> float:
    """Distance to the last of the triangles ``[t, 3, 3]`` on a ray from the origin; NaN if none."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    normal = np.cross(b - a, c - a)
    facing = normal @ direction
    distance = (normal * a).sum(1) / np.where(np.abs(facing) < 1e-12, 1e-12, facing)
    point = distance[:, None] * direction
    inside = distance > 0
    for first, second in ((a, b), (b, c), (c, a)):
        inside &= (np.cross(second - first, point - first) * normal).sum(1) >= -1e-9
    return float(distance[inside].max()) if inside.any() else float("nan")
