"""Moves bound splats with the face: expression by face vertices, and rotations down the neck.

The readable twins of the kernels are the numpy expressions in
``tests/numeric/engines/portrait/test_rig.py``, which compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from talkcli import runtime
from talkcli.kernels import pool
from talkcli.kernels.jit import kernel
from talkcli.shapes import Float, Float32, Int32

#: Rotations along the neck are tabulated at this many weights; 1/64 of 30° is half a degree.
NECK_STEPS = 65
#: A tangent may grow to this many times its rest length plus this many centimetres.
_MAX_GROWTH = 4.0
#: Splats are divided among the threads in multiples of this many, so that no result depends on the
#: number of threads: compiled code may round differently in full vectors and in the remainder.
_GRAIN = 1024


def spread_over(work: Callable[[int, int], None], spans: Sequence[tuple[int, int]]) -> None:
    """Call ``work(start, stop)`` on several threads until all ``spans`` are done.

    Args:
        work: must give the same result however a span is cut at multiples of ``_GRAIN`` from its
            start.
        spans: ranges that do not overlap.
    """
    threads = runtime.thread_count()
    total = sum(stop - start for start, stop in spans)
    # Two parts per thread, so that a thread that starts late does not hold up the frame.
    size = -(-total // (2 * threads) // _GRAIN) * _GRAIN if threads > 1 else max(total, 1)
    parts = [
        (first, min(first + size, stop))
        for start, stop in spans
        for first in range(start, stop, max(size, _GRAIN))
    ]
    pool.run(lambda part: work(*parts[part]), len(parts), threads)


def move_with_face(
    rest: Float32[np.ndarray, "n 3"],
    vertices: Int32[np.ndarray, "n 4"],
    weights: Float32[np.ndarray, "n 4"],
    displacement: Float32[np.ndarray, "478 3"],
    shift: Float32[np.ndarray, "n 3"],
    positions: Float32[np.ndarray, "n 3"],
) -> None:
    """Shift splats by ``Σ_k weights[i, k] · displacement[vertices[i, k]]``.

    Args:
        rest: ``[n, 3]`` positions at rest.
        vertices: ``[n, 4]`` int32 face vertices that move each splat.
        weights: ``[n, 4]``.
        displacement: ``[478, 3]`` shift of the face vertices.
        shift: ``[n, 3]``, written.
        positions: ``[n, 3]``, written: rest plus shift.
    """
    arrays = (rest, vertices, weights, displacement, shift, positions)
    spread_over(lambda a, b: _move_with_face(a, b, *arrays), [(0, len(rest))])


class Tangents(NamedTuple):
    """Two tangents of the surface at each splat: ``u`` to the right, ``v`` downwards."""

    u: Float32[np.ndarray, "n 3"]
    v: Float32[np.ndarray, "n 3"]


def shift_tangents(
    rest: Tangents,
    shift: Float32[np.ndarray, "n 3"],
    neighbours: Int32[np.ndarray, "n 4"],
    slack: float,
    out: Tangents,
) -> None:
    """Tangents of the deformed surface: rest tangent plus the difference of the neighbours' shifts.

    Args:
        rest: ``[n, 3]`` each.
        shift: ``[n, 3]``.
        neighbours: ``[n, 4]`` int32 left, right, up, down; the splat itself where there is none.
        slack: centimetres by which any tangent may grow.
        out: written.
    """
    arrays = (tuple(rest), shift, neighbours, np.float32(slack), tuple(out))
    spread_over(lambda a, b: _shift_tangents(a, b, *arrays), [(0, len(shift))])


@kernel
def _move_with_face(
    start: int, stop: int, rest: Any, vertices: Any, weights: Any, displacement: Any, shift: Any,
    positions: Any,
) -> None:  # fmt: skip
    for i in range(start, stop):
        x = np.float32(0)
        y = np.float32(0)
        z = np.float32(0)
        for k in range(4):
            w = weights[i, k]
            v = vertices[i, k]
            x += w * displacement[v, 0]
            y += w * displacement[v, 1]
            z += w * displacement[v, 2]
        shift[i, 0] = x
        shift[i, 1] = y
        shift[i, 2] = z
        positions[i, 0] = rest[i, 0] + x
        positions[i, 1] = rest[i, 1] + y
        positions[i, 2] = rest[i, 2] + z


@kernel
def _shift_tangents(
    start: int, stop: int, tangents: Any, shift: Any, neighbours: Any, slack: Any, outputs: Any
) -> None:
    for i in range(start, stop):
        for axis in range(2):
            rest, out = tangents[axis], outputs[axis]
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
            # Hardly any tangent grows so much; the others need no roots.
            if after > np.float32(_MAX_GROWTH**2) * before:
                limit = np.float32(_MAX_GROWTH) * np.sqrt(before) + slack
                length = np.sqrt(after)
                if length > limit:
                    for k in range(3):
                        out[i, k] *= limit / length


def rotation_vector(rotation: Float[np.ndarray, "3 3"]) -> Float32[np.ndarray, " 3"]:
    """``[3]`` axis times angle in radians of ``rotation [3, 3]``, for angles below 180°."""
    angle = np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))
    axis = np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    return np.asarray(axis / 2 * (angle / np.sin(angle) if angle > 1e-8 else 1.0), np.float32)


def neck_rotations(turn: Float[np.ndarray, " 3"]) -> Float32[np.ndarray, "steps 3 3"]:
    """``[NECK_STEPS, 3, 3]`` float32: a rotation scaled from none to all of it (Rodrigues).

    Args:
        turn: the whole rotation, from :func:`rotation_vector`.
    """
    turn = turn.astype(np.float64)
    angle = float(np.linalg.norm(turn))
    x, y, z = turn / angle if angle > 1e-8 else turn
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angles = np.linspace(0, angle, NECK_STEPS)[:, None, None]
    table = np.eye(3) + np.sin(angles) * skew + (1 - np.cos(angles)) * (skew @ skew)
    return table.astype(np.float32)
