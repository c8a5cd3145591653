"""Moves bound splats: expression by face vertices, then the head's rotation down the neck.

The readable twins of the kernels are the numpy expressions in ``tests/numeric/test_rig.py``, which
hold them to what they should compute.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

#: Rotations along the neck are tabulated at this many weights; 1/64 of 30° is half a degree.
NECK_STEPS = 65
#: A tangent may grow to this many times its rest length plus this many centimetres.
_MAX_GROWTH = 4.0
#: Growth of the viewing cosine, in units of the source's, at which a splat starts to give way and
#: is gone: stretched to twice and to four times its width.
GIVES_WAY, GONE = 1.0, 3.5
#: A grid of splats is closed by the renderer's 0.3 px² only while a step, as the camera sees it,
#: is about a pixel. By a pixel more, the variance per squared step has grown to what closes a
#: grid of any size.
_STRETCH_SPREAD, _FULL_SPREAD = 0.6, 0.6


@njit(cache=True, fastmath=True, parallel=True)
def blend_vertices(
    vertices: np.ndarray, weights: np.ndarray, displacement: np.ndarray, out: np.ndarray
) -> None:
    """``out[i] = Σ_k weights[i, k] · displacement[vertices[i, k]]`` for ``[n, 4]`` bindings."""
    for i in prange(vertices.shape[0]):
        x = np.float32(0)
        y = np.float32(0)
        z = np.float32(0)
        for k in range(4):
            w = weights[i, k]
            v = vertices[i, k]
            x += w * displacement[v, 0]
            y += w * displacement[v, 1]
            z += w * displacement[v, 2]
        out[i, 0] = x
        out[i, 1] = y
        out[i, 2] = z


@njit(cache=True, fastmath=True, parallel=True)
def shift_tangents(
    tangent_u: np.ndarray,
    tangent_v: np.ndarray,
    shift: np.ndarray,
    neighbours: np.ndarray,
    slack: float,
    out_u: np.ndarray,
    out_v: np.ndarray,
) -> None:
    """Tangents of the deformed surface: rest tangent plus the difference of neighbours' shifts."""
    for i in prange(shift.shape[0]):
        for axis in range(2):
            rest = tangent_u if axis == 0 else tangent_v
            out = out_u if axis == 0 else out_v
            low = neighbours[i, 2 * axis]
            high = neighbours[i, 2 * axis + 1]
            half = np.float32(0.5) if (low != i and high != i) else np.float32(1.0)
            before = np.float32(0)
            after = np.float32(0)
            for k in range(3):
                value = rest[i, k] + half * (shift[high, k] - shift[low, k])
                before += rest[i, k] * rest[i, k]
                after += value * value
                out[i, k] = value
            limit = np.float32(_MAX_GROWTH) * np.sqrt(before) + np.float32(slack)
            length = np.sqrt(after)
            if length > limit:
                for k in range(3):
                    out[i, k] *= limit / length


@njit(cache=True, fastmath=True, parallel=True)
def skin_and_shape(  # noqa: PLR0913 - a kernel takes its arrays one by one
    positions: np.ndarray,
    tangent_u: np.ndarray,
    tangent_v: np.ndarray,
    normals: np.ndarray,
    seen_cosine: np.ndarray,
    rest_cosine: np.ndarray,
    opacity: np.ndarray,
    culled: np.ndarray,
    step: np.ndarray,
    slope: np.ndarray,
    spread: np.ndarray,
    rotations: np.ndarray,
    turn: np.ndarray,
    pivot: np.ndarray,
    shift: np.ndarray,
    eye: np.ndarray,
    focal: float,
    means: np.ndarray,
    covars: np.ndarray,
    opacities: np.ndarray,
) -> None:
    """Rotate splats about the neck, form covariances, hide what must not be seen from here.

    A splat that the source saw at a flat angle is stretched when the head turns it to the camera.
    Its opacity falls as the viewing cosine grows beyond the source's by ``GIVES_WAY`` to ``GONE``
    times ``seen_cosine``, so that the completed surface underneath takes over; in the source view
    nothing changes.

    Args:
        positions: ``[n, 3]`` after expression.
        tangent_u: ``[n, 3]``.
        tangent_v: ``[n, 3]``.
        normals: ``[n, 3]`` unit surface normals at rest, pointing outside.
        seen_cosine: ``[n]`` how well the source saw the splat; 0 for those that never give way.
        rest_cosine: ``[n]`` viewing cosine at rest.
        opacity: ``[n]`` at rest.
        culled: ``[n]`` bool, hidden when seen from behind.
        step: ``[n]`` uint8, index into ``rotations``.
        slope: ``[n, 2]`` change of the neck weight along the tangents: where neighbours turn by
            different angles the surface shears, and the tangents with it.
        spread: ``[n]`` covariance per squared tangent.
        rotations: ``[NECK_STEPS, 3, 3]``.
        turn: ``[3]`` axis of the whole rotation times its angle in radians.
        pivot: ``[3]`` centre of rotation.
        shift: ``[3]`` head translation, scaled by the neck weight.
        eye: ``[3]`` camera position.
        focal: focal length, pixels.
        means: ``[n, 3]`` result.
        covars: ``[n, 6]`` result.
        opacities: ``[n]`` result.
    """
    full = np.float32(_FULL_SPREAD)
    for i in prange(positions.shape[0]):
        r = rotations[step[i]]
        share = np.float32(step[i]) / np.float32(NECK_STEPS - 1)
        px = positions[i, 0] - pivot[0]
        py = positions[i, 1] - pivot[1]
        pz = positions[i, 2] - pivot[2]
        ux, uy, uz = tangent_u[i, 0], tangent_u[i, 1], tangent_u[i, 2]
        vx, vy, vz = tangent_v[i, 0], tangent_v[i, 1], tangent_v[i, 2]
        x = r[0, 0] * px + r[0, 1] * py + r[0, 2] * pz + pivot[0] + share * shift[0]
        y = r[1, 0] * px + r[1, 1] * py + r[1, 2] * pz + pivot[1] + share * shift[1]
        z = r[2, 0] * px + r[2, 1] * py + r[2, 2] * pz + pivot[2] + share * shift[2]
        ax = r[0, 0] * ux + r[0, 1] * uy + r[0, 2] * uz
        ay = r[1, 0] * ux + r[1, 1] * uy + r[1, 2] * uz
        az = r[2, 0] * ux + r[2, 1] * uy + r[2, 2] * uz
        bx = r[0, 0] * vx + r[0, 1] * vy + r[0, 2] * vz
        by = r[1, 0] * vx + r[1, 1] * vy + r[1, 2] * vz
        bz = r[2, 0] * vx + r[2, 1] * vy + r[2, 2] * vz
        qx, qy, qz = x - pivot[0], y - pivot[1], z - pivot[2]
        wx = turn[1] * qz - turn[2] * qy + shift[0]
        wy = turn[2] * qx - turn[0] * qz + shift[1]
        wz = turn[0] * qy - turn[1] * qx + shift[2]
        ax += slope[i, 0] * wx
        ay += slope[i, 0] * wy
        az += slope[i, 0] * wz
        bx += slope[i, 1] * wx
        by += slope[i, 1] * wy
        bz += slope[i, 1] * wz
        means[i, 0] = x
        means[i, 1] = y
        means[i, 2] = z
        ex, ey, ez = eye[0] - x, eye[1] - y, eye[2] - z
        near = np.float32(1) / np.sqrt(ex * ex + ey * ey + ez * ez)
        ex, ey, ez = ex * near, ey * near, ez * near
        # Length of a grid step as the camera sees it, pixels.
        along_a = ax * ex + ay * ey + az * ez
        along_b = bx * ex + by * ey + bz * ez
        seen_a = max(np.float32(0), ax * ax + ay * ay + az * az - along_a * along_a)
        seen_b = max(np.float32(0), bx * bx + by * by + bz * bz - along_b * along_b)
        grown_a = np.sqrt(seen_a) * near * np.float32(focal) - np.float32(1)
        grown_b = np.sqrt(seen_b) * near * np.float32(focal) - np.float32(1)
        s = max(spread[i], min(full, spread[i] + np.float32(_STRETCH_SPREAD) * grown_a))
        t = max(spread[i], min(full, spread[i] + np.float32(_STRETCH_SPREAD) * grown_b))
        covars[i, 0] = s * ax * ax + t * bx * bx
        covars[i, 1] = s * ax * ay + t * bx * by
        covars[i, 2] = s * ax * az + t * bx * bz
        covars[i, 3] = s * ay * ay + t * by * by
        covars[i, 4] = s * ay * az + t * by * bz
        covars[i, 5] = s * az * az + t * bz * bz
        mx, my, mz = normals[i, 0], normals[i, 1], normals[i, 2]
        nx = r[0, 0] * mx + r[0, 1] * my + r[0, 2] * mz
        ny = r[1, 0] * mx + r[1, 1] * my + r[1, 2] * mz
        nz = r[2, 0] * mx + r[2, 1] * my + r[2, 2] * mz
        cosine = nx * ex + ny * ey + nz * ez
        visible = opacity[i]
        if culled[i] and cosine < 0:
            visible = np.float32(0)
        if seen_cosine[i] > 0:
            t = (cosine - rest_cosine[i]) / seen_cosine[i]
            t = (t - np.float32(GIVES_WAY)) / np.float32(GONE - GIVES_WAY)
            t = min(max(t, np.float32(0)), np.float32(1))
            visible *= np.float32(1) - t * t * (np.float32(3) - np.float32(2) * t)
        opacities[i] = visible


def rotation_vector(rotation: np.ndarray) -> np.ndarray:
    """``[3]`` axis times angle in radians of ``rotation [3, 3]``, angles below 180°."""
    angle = np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))
    axis = np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    return np.asarray(axis / 2 * (angle / np.sin(angle) if angle > 1e-8 else 1.0), np.float32)


def neck_rotations(rotation: np.ndarray) -> np.ndarray:
    """``[NECK_STEPS, 3, 3]`` float32: ``rotation`` scaled from nothing to whole (Rodrigues)."""
    turn = rotation_vector(rotation).astype(np.float64)
    angle = float(np.linalg.norm(turn))
    x, y, z = turn / angle if angle > 1e-8 else turn
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angles = np.linspace(0, angle, NECK_STEPS)[:, None, None]
    table = np.eye(3) + np.sin(angles) * skew + (1 - np.cos(angles)) * (skew @ skew)
    return table.astype(np.float32)
