"""Backward projection: from the gradients of entries to those of parameters and of the camera."""

from __future__ import annotations

from typing import Any

import numpy as np

from talkcli.kernels.jit import helper, kernel
from talkcli.kernels.memory import (
    column_sums,
    load,
    load_columns,
    load_transposed,
    store,
    store_columns,
    store_columns_where,
)
from talkcli.kernels.simd import LANES, maximum, minimum, select, splat, square_root
from talkcli.render.cpu import layout as at
from talkcli.render.cpu.layout import CHUNK, GRADIENTS, RECORD
from talkcli.render.cpu.project import (
    camera_point,
    dot,
    image_axes,
    image_covariance,
    image_determinant,
    load_covariance,
    rotation,
    row_times,
    scale_columns,
    times,
)


@helper
def _sum_slots(projected: Any, slots: Any, first: int, sums: Any) -> None:
    """Add up the slots of sixteen splats into a 16×16 block, one row each.

    The last column, unused in slots, tells whether the splat is drawn at all.
    """
    _, rects, numbers = projected
    for lane in range(LANES):
        place = 4 * (first + lane)
        columns, rows = rects[place + 2] - rects[place], rects[place + 3] - rects[place + 1]
        entries = max(columns, 0) * max(rows, 0)
        total = splat(0.0)
        begin = numbers[(first + lane) * RECORD + at.SLOT] if entries > 0 else 0
        for slot in range(begin, begin + entries):
            total = total + load(slots, slot * GRADIENTS)
        store(sums, lane * GRADIENTS, total)
        sums[lane * GRADIENTS + GRADIENTS - 1] = np.float32(min(entries, 1))


@helper
def _conic(records: Any, first: int) -> Any:
    """Inverse 2D covariances A, B, C with sigma = (A dx² + C dy²) / 2 + B dx dy, from records."""
    columns = load_transposed(records, first * RECORD)
    return 16.0 * columns[at.A], 8.0 * columns[at.B], 16.0 * columns[at.C]


@helper
def _to_covariance(conic: Any, sxx: Any, sxy: Any, syy: Any) -> Any:
    """Gradient of the 2D covariance (xx, xy = yx, yy) from the second moments of s.

    sigma's gradient with respect to the conic is that of a quadratic form; Q ↦ Q⁻¹ turns a
    gradient G into -Q G Q.
    """
    a, b, c = conic
    to_a, half_to_b, to_c = -0.5 * sxx, -0.5 * sxy, -0.5 * syy
    e00, e01 = a * to_a + b * half_to_b, a * half_to_b + b * to_c
    e10, e11 = b * to_a + c * half_to_b, b * half_to_b + c * to_c
    return -(e00 * a + e01 * b), -(e00 * b + e01 * c), -(e10 * b + e11 * c)


@helper
def _add_compensation(g: Any, s: Any, conic: Any, covariance: Any, det: Any) -> Any:
    """Add what the compensation of antialiasing sends to the 2D covariance.

    Its logarithm is half of ln det(M) - ln det(M + eps2d), whose gradients are the two inverses;
    ``s`` is the gradient of the opacity's logarithm. A splat that is drawn has kept at least 1/255
    of its opacity, so det(M) is far from zero.
    """
    xx, xy, yy = covariance
    half, inverse = 0.5 * s, 1.0 / det
    return (
        g[0] + half * (yy * inverse - conic[0]),
        g[1] - half * (xy * inverse + conic[1]),
        g[2] + half * (xx * inverse - conic[2]),
    )


@helper
def _combine(x: Any, a: Any, y: Any, b: Any) -> Any:
    """x·a + y·b for triples a, b."""
    return x * a[0] + y * b[0], x * a[1] + y * b[1], x * a[2] + y * b[2]


@helper
def _from_covars(covars: Any, start: int, axes: Any, g: Any, outputs: Any, shown: Any) -> Any:
    """Write the gradients of six-number covariances; returns those of the image axes."""
    p, q = axes
    g00, g01, g11 = g
    rows = load_covariance(covars, start)
    a, b = row_times(p, rows), row_times(q, rows)
    # Tᵀ G T, row by row; an element off the diagonal stands for two of the matrix.
    gp, gq = _combine(g00, p, g01, q), _combine(g01, p, g11, q)
    upper = (
        p[0] * gp[0] + q[0] * gq[0],
        2.0 * (p[0] * gp[1] + q[0] * gq[1]),
        2.0 * (p[0] * gp[2] + q[0] * gq[2]),
        p[1] * gp[1] + q[1] * gq[1],
        2.0 * (p[1] * gp[2] + q[1] * gq[2]),
        p[2] * gp[2] + q[2] * gq[2],
    )
    store_columns_where(outputs[3], start * 6, upper, shown)
    return _combine(2.0 * g00, a, 2.0 * g01, b), _combine(2.0 * g01, a, 2.0 * g11, b)


@helper
def _from_quats(splats: Any, start: int, axes: Any, g: Any, outputs: Any, shown: Any) -> Any:
    """Write the gradients of quaternions and scales; returns those of the image axes."""
    p, q = axes
    g00, g01, g11 = g
    turn, scales = rotation(splats[1], start), load_columns(splats[2], start * 3, 3)
    rows = scale_columns(turn, scales)
    a, b = row_times(p, rows), row_times(q, rows)
    h, k = _combine(2.0 * g00, a, 2.0 * g01, b), _combine(2.0 * g01, a, 2.0 * g11, b)
    # Gradients of R·S, row by row; then of S and of R.
    to0, to1, to2 = (
        _combine(p[0], h, q[0], k),
        _combine(p[1], h, q[1], k),
        _combine(p[2], h, q[2], k),
    )
    to_scales = (
        to0[0] * turn[0][0] + to1[0] * turn[1][0] + to2[0] * turn[2][0],
        to0[1] * turn[0][1] + to1[1] * turn[1][1] + to2[1] * turn[2][1],
        to0[2] * turn[0][2] + to1[2] * turn[1][2] + to2[2] * turn[2][2],
    )
    store_columns_where(outputs[2], start * 3, to_scales, shown)
    to_quats = _to_quaternion(
        splats[1], start, times(to0, scales), times(to1, scales), times(to2, scales)
    )
    store_columns_where(outputs[1], start * 4, to_quats, shown)
    # T Σ = (T R S)(R S)ᵀ: the image axes' gradients in world coordinates.
    to_p = (dot(h, rows[0]), dot(h, rows[1]), dot(h, rows[2]))
    to_q = (dot(k, rows[0]), dot(k, rows[1]), dot(k, rows[2]))
    return to_p, to_q


@helper
def _to_quaternion(quats: Any, start: int, r0: Any, r1: Any, r2: Any) -> Any:
    """Gradient of wxyz quaternions of any length from that of their rotation matrices."""
    w, x, y, z = load_columns(quats, start * 4, 4)
    inv = 1.0 / square_root(w * w + x * x + y * y + z * z)
    w, x, y, z = w * inv, x * inv, y * inv, z * inv
    gw = 2.0 * (x * (r2[1] - r1[2]) + y * (r0[2] - r2[0]) + z * (r1[0] - r0[1]))
    gx = 2.0 * (y * (r1[0] + r0[1]) + z * (r2[0] + r0[2]) + w * (r2[1] - r1[2]))
    gx = gx - 4.0 * x * (r1[1] + r2[2])
    gy = 2.0 * (x * (r1[0] + r0[1]) + z * (r2[1] + r1[2]) + w * (r0[2] - r2[0]))
    gy = gy - 4.0 * y * (r0[0] + r2[2])
    gz = 2.0 * (x * (r2[0] + r0[2]) + y * (r2[1] + r1[2]) + w * (r1[0] - r0[1]))
    gz = gz - 4.0 * z * (r0[0] + r1[1])
    # Only the part across the unit quaternion survives normalisation.
    along = gw * w + gx * x + gy * y + gz * z
    return (
        (gw - along * w) * inv,
        (gx - along * x) * inv,
        (gy - along * y) * inv,
        (gz - along * z) * inv,
    )


@helper
def _to_camera_point(camera: Any, point: Any, to_p: Any, to_q: Any, to_center: Any) -> Any:
    """Gradient of camera coordinates from those of the image axes and of the image centre."""
    x, y, z = point
    inv_z = 1.0 / z
    slope_x, slope_y = x * inv_z, y * inv_z
    jx, jy = inv_z * camera[12], inv_z * camera[13]
    row0 = (camera[0], camera[1], camera[2])
    row1 = (camera[4], camera[5], camera[6])
    row2 = (camera[8], camera[9], camera[10])
    to_jx, to_kx = dot(to_p, row0), dot(to_p, row2)
    to_jy, to_ky = dot(to_q, row1), dot(to_q, row2)
    # kx = -jx · clamp(x/z), so a clamped slope no longer moves with the point.
    clamped_x = minimum(maximum(slope_x, camera[16]), camera[17])
    clamped_y = minimum(maximum(slope_y, camera[18]), camera[19])
    free_x = (slope_x >= camera[16]) & (slope_x <= camera[17])
    free_y = (slope_y >= camera[18]) & (slope_y <= camera[19])
    to_slope_x = select(free_x, -(jx * to_kx), 0.0) + camera[12] * to_center[0]
    to_slope_y = select(free_y, -(jy * to_ky), 0.0) + camera[13] * to_center[1]
    to_jx, to_jy = to_jx - clamped_x * to_kx, to_jy - clamped_y * to_ky
    to_x, to_y = to_slope_x * inv_z, to_slope_y * inv_z
    to_z = -(to_jx * jx + to_jy * jy) * inv_z - to_x * slope_x - to_y * slope_y
    return to_x, to_y, to_z


@helper
def _add_camera(total: Any, camera: Any, point: Any, mean: Any, gradients: Any) -> None:
    """Add sixteen splats' shares in the gradient of the 3×4 view matrix to its twelve sums."""
    to_p, to_q, to_point = gradients
    x, y, z = point
    inv_z = 1.0 / z
    jx, jy = inv_z * camera[12], inv_z * camera[13]
    kx = -(jx * minimum(maximum(x * inv_z, camera[16]), camera[17]))
    ky = -(jy * minimum(maximum(y * inv_z, camera[18]), camera[19]))
    for i in range(3):
        rows = (jx * to_p[i], jy * to_q[i], kx * to_p[i] + ky * to_q[i])
        for row in range(3):
            place = (4 * row + i) * LANES
            store(total, place, load(total, place) + rows[row] + to_point[row] * mean[i])
    for row in range(3):
        place = (4 * row + 3) * LANES
        store(total, place, load(total, place) + to_point[row])


@helper
def _hide(shown: Any, a: Any) -> Any:
    """A triple with zeros for splats that are not drawn, whose numbers may not be finite."""
    return select(shown, a[0], 0.0), select(shown, a[1], 0.0), select(shown, a[2], 0.0)


@helper
def _block(
    splats: Any, camera: Any, start: int, first: int, projected: Any, outputs: Any, scratch: Any
) -> None:
    """Gradients of sixteen splats whose slots are summed in ``scratch``."""
    sums = load_transposed(scratch, 0)
    shown = sums[GRADIENTS - 1] > 0.5
    point = camera_point(splats[0], start, camera)
    p, q = image_axes(camera, point[0], point[1], point[2])
    conic = _conic(projected[0], first + start)
    g = _to_covariance(conic, sums[3], sums[4], sums[5])
    if camera[at.ANTIALIASED] > 0:
        covariance = image_covariance(splats, start, p, q)
        det = image_determinant(splats, start, p, q)
        g = _add_compensation(g, sums[0], conic, covariance, det)
    if len(splats[3]) > 0:
        to_p, to_q = _from_covars(splats[3], start, (p, q), g, outputs, shown)
    else:
        to_p, to_q = _from_quats(splats, start, (p, q), g, outputs, shown)
    center = (conic[0] * sums[1] + conic[1] * sums[2], conic[1] * sums[1] + conic[2] * sums[2])
    to_x, to_y, to_z = _to_camera_point(camera, point, to_p, to_q, center)
    to_point = _hide(shown, (to_x, to_y, to_z + sums[9]))
    to_mean = (
        camera[0] * to_point[0] + camera[4] * to_point[1] + camera[8] * to_point[2],
        camera[1] * to_point[0] + camera[5] * to_point[1] + camera[9] * to_point[2],
        camera[2] * to_point[0] + camera[6] * to_point[1] + camera[10] * to_point[2],
    )
    store_columns(outputs[0], start * 3, to_mean)
    store(outputs[4], start, select(shown, sums[0] / load(splats[4], start), 0.0))
    store_columns(outputs[5], start * 3, (sums[6], sums[7], sums[8]))
    mean = _hide(shown, load_columns(splats[0], start * 3, 3))
    total = scratch[LANES * GRADIENTS :]
    gradients = (_hide(shown, to_p), _hide(shown, to_q), to_point)
    _add_camera(total, camera, _shown_point(shown, point), mean, gradients)


@helper
def _shown_point(shown: Any, point: Any) -> Any:
    """Camera coordinates, with 1 for z where a splat is not drawn."""
    return select(shown, point[0], 0.0), select(shown, point[1], 0.0), select(shown, point[2], 1.0)


@kernel
def project_backward(
    splats: Any, camera: Any, span: Any, first: int, projected: Any, slots: Any, results: Any,
    scratch: Any,
) -> None:  # fmt: skip
    """Gradients of splats ``span[0]`` … ``span[1]``, a multiple of 16 that starts on a chunk.

    Args:
        splats: as for :func:`talkcli.render.cpu.project.project`.
        camera: likewise.
        span: begin and end in the arrays of ``splats`` and ``outputs``.
        first: index among the records of the splat at the start of the arrays.
        projected: of :meth:`talkcli.render.cpu.raster.Frame.projected`.
        slots: ``[16 M]`` of :func:`talkcli.render.cpu.backward.blend_backward`.
        results: gradients of the arrays of ``splats``, in their order, every row written; and
            ``[chunks, 16]``, whose row k is set to chunk k's share in the gradient of the 3×4
            view matrix, row by row, and four zeros.
        scratch: ``[512]``.
    """
    total = scratch[LANES * GRADIENTS :]
    outputs, camera_sums = results
    for chunk in range(span[0], span[1], CHUNK):
        total[: LANES * LANES] = at.F0
        for start in range(chunk, min(chunk + CHUNK, span[1]), LANES):
            _sum_slots(projected, slots, first + start, scratch)
            _block(splats, camera, start, first, projected, outputs, scratch)
        store(camera_sums[chunk // CHUNK], 0, column_sums(_rows(total)))


@helper
def _rows(block: Any) -> Any:
    """Sixteen vectors that lie one after another."""
    return (
        load(block, 0), load(block, 16), load(block, 32), load(block, 48),
        load(block, 64), load(block, 80), load(block, 96), load(block, 112),
        load(block, 128), load(block, 144), load(block, 160), load(block, 176),
        load(block, 192), load(block, 208), load(block, 224), load(block, 240),
    )  # fmt: skip


@kernel
def sum_features(span: Any, projected: Any, slots: Any, channels: int, gradients: Any) -> None:
    """Gradients of the features of splats ``span[0]`` … ``span[1]`` from the entries' slots.

    Args:
        span: begin and end.
        projected: of :meth:`talkcli.render.cpu.raster.Frame.projected`.
        slots: ``[M F]``.
        channels: F.
        gradients: ``[N F]``, set.
    """
    _, rects, numbers = projected
    for i in range(span[0], span[1]):
        columns, rows = rects[4 * i + 2] - rects[4 * i], rects[4 * i + 3] - rects[4 * i + 1]
        entries = max(columns, 0) * max(rows, 0)
        begin = numbers[i * RECORD + at.SLOT] if entries > 0 else 0
        for k in range(channels):
            total = at.F0
            for slot in range(begin, begin + entries):
                total += slots[slot * channels + k]
            gradients[i * channels + k] = total
