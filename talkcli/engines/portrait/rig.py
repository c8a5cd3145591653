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
from talkcli.kernels.jit import helper, kernel
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
    arrays = flat(rest, vertices, weights, displacement, shift, positions)
    spread_over(lambda a, b: _move_with_face(a, b, *arrays), [(0, len(rest))])


def flat(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """The arrays with one dimension, as kernels take them."""
    return tuple(array.reshape(-1) for array in arrays)


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
    arrays = (flat(*rest), *flat(shift, neighbours), np.float32(slack), flat(*out))
    spread_over(lambda a, b: _shift_tangents(a, b, *arrays), [(0, len(shift))])


# Flat arrays and unsigned indices: numba checks signed ones for counting from the end, which took a
# third of the time.
_U3, _U4 = np.uint64(3), np.uint64(4)


@helper
def _index(array: Any, place: Any) -> Any:
    return np.uint64(np.uint32(array[place])) * _U3


@kernel
def _move_with_face(
    start: int, stop: int, rest: Any, vertices: Any, weights: Any, displacement: Any, shift: Any,
    positions: Any,
) -> None:  # fmt: skip
    for i in range(np.uint64(start), np.uint64(stop)):
        own = i * _U3
        x = np.float32(0)
        y = np.float32(0)
        z = np.float32(0)
        for k in range(i * _U4, i * _U4 + _U4):
            w = weights[k]
            v = _index(vertices, k)
            x += w * displacement[v]
            y += w * displacement[v + np.uint64(1)]
            z += w * displacement[v + np.uint64(2)]
        shift[own], positions[own] = x, rest[own] + x
        own += np.uint64(1)
        shift[own], positions[own] = y, rest[own] + y
        own += np.uint64(1)
        shift[own], positions[own] = z, rest[own] + z


@kernel
def _shift_tangents(
    start: int, stop: int, tangents: Any, shift: Any, neighbours: Any, slack: Any, outputs: Any
) -> None:
    for i in range(np.uint64(start), np.uint64(stop)):
        own = i * _U3
        for axis in range(2):
            rest, out = tangents[axis], outputs[axis]
            ends = i * _U4 + np.uint64(2 * axis)
            low, high = _index(neighbours, ends), _index(neighbours, ends + np.uint64(1))
            half = np.float32(0.5) if (low != own and high != own) else np.float32(1.0)
            before = np.float32(0)
            after = np.float32(0)
            for k in range(_U3):
                was = rest[own + k]
                value = was + half * (shift[high + k] - shift[low + k])
                before += was * was
                after += value * value
                out[own + k] = value
            # Hardly any tangent grows so much; the others need no roots.
            if after > np.float32(_MAX_GROWTH**2) * before:
                limit = np.float32(_MAX_GROWTH) * np.sqrt(before) + slack
                length = np.sqrt(after)
                if length > limit:
                    for k in range(_U3):
                        out[own + k] *= limit / length


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
