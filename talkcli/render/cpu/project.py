"""Projection: sixteen splats at a time, from world parameters to records, keys and tile counts.

Done splat by splat this takes as long as blending once splats are a pixel in size; with vectors
the arithmetic all but vanishes behind the memory traffic of 64 bytes per record.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from talkcli.kernels.jit import helper, kernel
from talkcli.kernels.memory import (
    load,
    load_columns,
    store,
    store_integers,
    store_transposed,
)
from talkcli.kernels.simd import (
    LANES,
    absolute,
    maximum,
    minimum,
    pack,
    select,
    splat,
    split_exponent,
    square_root,
)
from talkcli.render.cpu.layout import ALPHA_MIN, ANTIALIASED, LAST_COLUMN, LAST_ROW, TILE

#: Slack on the cut-off, so that rounding never drops a pixel that the definition draws: the
#: logarithm is good to 1e-6, coordinates around 4096 px to 2.5e-4.
_LN255 = np.float32(np.log(255.0) + 1e-4)
_PIXEL_SLACK = np.float32(1e-3)
#: Splats of this radius (px) or more have overflowed.
_RADIUS_MAX = np.float32(1e9)
_LN2 = np.float32(np.log(2.0))
_TILES_PER_PIXEL = np.float32(1 / TILE)


@helper
def logarithm(x: Any) -> Any:
    """Natural logarithm of positive lanes, absolute error 1e-6."""
    exponent, m = split_exponent(x)
    s = (m - 1.0) / (m + 1.0)
    s2 = s * s
    series = ((s2 * (1 / 9) + 1 / 7) * s2 + 1 / 5) * s2 + 1 / 3
    return exponent * _LN2 + s * 2.0 * (series * s2 + 1.0)


@helper
def camera_point(means: Any, start: Any, camera: Any) -> Any:
    """Camera coordinates of sixteen centres."""
    mx, my, mz = load_columns(means, start * 3, 3)
    x = mx * camera[0] + my * camera[1] + mz * camera[2] + camera[3]
    y = mx * camera[4] + my * camera[5] + mz * camera[6] + camera[7]
    z = mx * camera[8] + my * camera[9] + mz * camera[10] + camera[11]
    return x, y, z


@helper
def image_axes(camera: Any, x: Any, y: Any, z: Any) -> Any:
    """The two rows of J·R: image shift in px per world shift, at camera point x, y, z."""
    inv_z = 1.0 / z
    tx = minimum(maximum(x * inv_z, camera[16]), camera[17])
    ty = minimum(maximum(y * inv_z, camera[18]), camera[19])
    jx, jy = inv_z * camera[12], inv_z * camera[13]
    kx, ky = -(jx * tx), -(jy * ty)
    p = (
        jx * camera[0] + kx * camera[8],
        jx * camera[1] + kx * camera[9],
        jx * camera[2] + kx * camera[10],
    )
    q = (
        jy * camera[4] + ky * camera[8],
        jy * camera[5] + ky * camera[9],
        jy * camera[6] + ky * camera[10],
    )
    return p, q


@helper
def rotation(quats: Any, start: Any) -> Any:
    """Rotation matrices as three rows of vectors, from wxyz quaternions of any length."""
    w, x, y, z = load_columns(quats, start * 4, 4)
    t = 2.0 / (w * w + x * x + y * y + z * z)
    xx, yy, zz = t * x * x, t * y * y, t * z * z
    xy, xz, yz = t * x * y, t * x * z, t * y * z
    wx, wy, wz = t * w * x, t * w * y, t * w * z
    row0 = (1.0 - (yy + zz), xy - wz, xz + wy)
    row1 = (xy + wz, 1.0 - (xx + zz), yz - wx)
    row2 = (xz - wy, yz + wx, 1.0 - (xx + yy))
    return row0, row1, row2


@helper
def scale_columns(rows: Any, scales: Any) -> Any:
    """A 3×3 matrix times a diagonal one."""
    return times(rows[0], scales), times(rows[1], scales), times(rows[2], scales)


@helper
def times(a: Any, b: Any) -> Any:
    """Product of two triples, element by element."""
    return a[0] * b[0], a[1] * b[1], a[2] * b[2]


@helper
def dot(a: Any, b: Any) -> Any:
    """Scalar product of two triples."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@helper
def row_times(p: Any, rows: Any) -> Any:
    """A row triple times a 3×3 matrix given by its rows."""
    return (
        p[0] * rows[0][0] + p[1] * rows[1][0] + p[2] * rows[2][0],
        p[0] * rows[0][1] + p[1] * rows[1][1] + p[2] * rows[2][1],
        p[0] * rows[0][2] + p[1] * rows[1][2] + p[2] * rows[2][2],
    )


@helper
def load_covariance(covars: Any, start: Any) -> Any:
    """Rows of the symmetric world covariances stored as xx, xy, xz, yy, yz, zz."""
    xx, xy, xz, yy, yz, zz = load_columns(covars, start * 6, 6)
    return (xx, xy, xz), (xy, yy, yz), (xz, yz, zz)


@helper
def image_covariance(splats: Any, start: Any, p: Any, q: Any) -> Any:
    """xx, xy, yy of the projected covariance, px², before the dilation."""
    _, quats, scales, covars, _, _ = splats
    if len(covars) > 0:
        rows = load_covariance(covars, start)
        a, b = row_times(p, rows), row_times(q, rows)
        return dot(p, a), dot(q, a), dot(q, b)
    rows = scale_columns(rotation(quats, start), load_columns(scales, start * 3, 3))
    a, b = row_times(p, rows), row_times(q, rows)
    return dot(a, a), dot(a, b), dot(b, b)


@helper
def image_determinant(splats: Any, start: Any, p: Any, q: Any) -> Any:
    """Determinant of :func:`image_covariance`.

    With quaternions it is that of a Gram matrix, a sum of squares, and needles keep all their
    digits; of six numbers only the difference xx·yy - xy² is left.
    """
    _, quats, scales, covars, _, _ = splats
    if len(covars) > 0:
        xx, xy, yy = image_covariance(splats, start, p, q)
        return xx * yy - xy * xy
    rows = scale_columns(rotation(quats, start), load_columns(scales, start * 3, 3))
    a, b = row_times(p, rows), row_times(q, rows)
    x, y, z = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
    return x * x + y * y + z * z


@helper
def store_tile_rectangles(
    place: Any, center: Any, radius: Any, visible: Any, camera: Any, corners: Any
) -> None:
    """Half-open tile ranges along one axis into ``corners[place]`` and ``corners[place + 16]``.

    Only pixels whose centre lies within the radius count; a hidden splat gets an empty range.
    """
    tiles = camera[22 + place // (2 * LANES)]
    first = (center - radius + 0.5) * _TILES_PER_PIXEL
    last = (center + radius - 0.5) * _TILES_PER_PIXEL + 1.0
    store_integers(corners, place, select(visible, minimum(maximum(first, 0.0), tiles), 0.0))
    store_integers(corners, place + LANES, select(visible, minimum(maximum(last, 0.0), tiles), 0.0))


@helper
def pixel_range(center: Any, radius: Any, last: Any) -> Any:
    """First and last pixel of the image within the radius, packed as ``layout.X`` says."""
    first = minimum(maximum(center - radius + 0.5, 0.0), last)
    return pack(first, minimum(maximum(center + radius - 0.5, 0.0), last))


@helper
def _count_tiles(corners: Any, target: Any, rects: Any, tiles_x: int, counts: Any) -> None:
    """Store sixteen splats' tile rectangles and add one to the count of each tile in them."""
    for lane in range(LANES):
        x0, x1 = corners[lane], corners[lane + 16]
        y0, y1 = corners[lane + 32], corners[lane + 48]
        place = (target + lane) * 4
        rects[place], rects[place + 1] = x0, y0
        rects[place + 2], rects[place + 3] = x1, y1
        for row in range(y0 * tiles_x, y1 * tiles_x, tiles_x):
            for tile in range(row + x0, row + x1):
                counts[tile] += 1


@kernel
def project(
    splats: Any, camera: Any, span: Any, first: int, outputs: Any, counts: Any, corners: Any
) -> None:
    """Project splats ``span[0]`` … ``span[1]``, a multiple of 16, of one part.

    Args:
        splats: flat float32 (means, quats, scales, covars, opacities, colors); either ``covars``
            or ``quats`` and ``scales`` are of length zero.
        camera: ``[CAMERA]`` as :mod:`talkcli.render.cpu.layout` lists it.
        span: begin and end in the arrays of ``splats``.
        first: index in ``outputs`` of the splat at the start of the arrays.
        outputs: records, keys (camera z as float32) and rects (int16 x0, y0, x1, y1 in tiles).
        counts: ``[tiles]`` int32, increased by one per splat and tile touched.
        corners: ``[64]`` int32 scratch.
    """
    means, _, _, _, opacities, colors = splats
    records, keys, rects = outputs
    tiles_x = int(camera[22])
    for start in range(span[0], span[1], LANES):
        x, y, z = camera_point(means, start, camera)
        p, q = image_axes(camera, x, y, z)
        xx, xy, yy = image_covariance(splats, start, p, q)
        xx, yy = xx + camera[20], yy + camera[20]
        det = xx * yy - xy * xy
        opacity = load(opacities, start)
        if camera[ANTIALIASED] > 0:
            share = image_determinant(splats, start, p, q) / det
            opacity = opacity * square_root(maximum(share, 0.0))
        red, green, blue = load_columns(colors, start * 3, 3)
        log_opacity = logarithm(opacity)
        cut = log_opacity + _LN255
        radius_x = square_root(2.0 * cut * xx) + _PIXEL_SLACK
        radius_y = square_root(2.0 * cut * yy) + _PIXEL_SLACK
        inv_z, inv_det = 1.0 / z, 1.0 / det
        u = x * inv_z * camera[12] + camera[14]
        v = y * inv_z * camera[13] + camera[15]
        a, b, c = 0.5 * yy * inv_det, -(xy * inv_det), 0.5 * xx * inv_det
        inv_c = 1.0 / c
        # Not a number fails every comparison, so broken splats drop out here.
        visible = (z >= camera[21]) & (opacity >= ALPHA_MIN) & (det > 0.0)
        visible = visible & (radius_x < _RADIUS_MAX) & (radius_y < _RADIUS_MAX)
        visible = visible & (absolute(red + green + blue) < 1e30) & (inv_det * inv_c < 1e30)
        store_tile_rectangles(0, u, radius_x, visible, camera, corners)
        store_tile_rectangles(2 * LANES, v, radius_y, visible, camera, corners)
        target = first + start
        fields = (
            u, v, 0.125 * a, 0.125 * b, 0.125 * c, -0.125 * log_opacity,
            pixel_range(u, radius_x, camera[LAST_COLUMN]),
            pixel_range(v, radius_y, camera[LAST_ROW]),
            cut * inv_c, 0.5 * b * inv_c, 0.25 * inv_det * inv_c * inv_c,
            red, green, blue, z, splat(0.0),
        )  # fmt: skip
        store_transposed(records, target * LANES, fields)
        store(keys, target, z)
        _count_tiles(corners, target, rects, tiles_x, counts)
