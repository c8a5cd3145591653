"""Rotates splats with the head and computes their covariances, 16 at a time, on all threads.

The readable twin of the kernel is the numpy code in ``tests/numeric/engines/portrait/test_rig.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from talkcli.engines.portrait.rig import (
    NECK_STEPS,
    flat,
    neck_rotations,
    rotation_vector,
    spread_over,
)
from talkcli.kernels.jit import helper, kernel
from talkcli.kernels.memory import load, load_columns, store, store_columns
from talkcli.kernels.simd import LANES, largest, maximum, minimum, select, splat, square_root
from talkcli.shapes import Float, Float32
from talkcli.types import SplatArrays

#: Growth of the viewing cosine, in units of the source's, at which a splat begins to fade and at
#: which it is gone: when it is stretched to twice and to about four times its width.
FADE_START, FADE_END = np.float32(1.0), np.float32(3.5)
#: The renderer's blur of 0.3 px² closes the gaps of a grid only while a grid step, as seen by the
#: camera, is about a pixel. Once a step is a pixel longer, the variance per squared step has grown
#: to what closes a grid of any size.
_STRETCH_SPREAD, _FULL_SPREAD = np.float32(0.6), np.float32(0.6)
#: Opacities below this are not drawn by the renderer.
_HIDDEN = 1 / 256
_ONE, _ZERO = np.float32(1), np.float32(0)


@dataclass
class RestSurface:
    """Properties of the splats that do not depend on the pose.

    Attributes:
        normals: ``[n, 3]`` unit surface normals, pointing outwards.
        source_cosine: ``[n]`` viewing cosine in the source; 0 for splats that never fade.
        rest_cosine: ``[n]`` viewing cosine at rest.
        opacities: ``[n]``.
        culled: ``[n]`` 1 where a splat is hidden when seen from behind, else 0.
        slope: ``[n, 2]`` change of the neck weight along the tangents: where neighbours turn by
            different angles, the surface shears, and the tangents with it.
        spread: ``[n]`` covariance per squared tangent.
        share: ``[n]`` neck weight in whole steps of ``1 / (NECK_STEPS - 1)``.
    """

    normals: Float32[np.ndarray, "n 3"]
    source_cosine: Float32[np.ndarray, " n"]
    rest_cosine: Float32[np.ndarray, " n"]
    opacities: Float32[np.ndarray, " n"]
    culled: Float32[np.ndarray, " n"]
    slope: Float32[np.ndarray, "n 2"]
    spread: Float32[np.ndarray, " n"]
    share: Float32[np.ndarray, " n"]

    def __post_init__(self) -> None:
        self._steps = np.round(self.share * (NECK_STEPS - 1)).astype(np.uint8)
        count = len(self._steps)
        padded = np.pad(self._steps, (0, -count % LANES), mode="edge").reshape(-1, LANES)
        # Most of a head turns as a whole: one rotation serves all sixteen, and no gather is needed.
        alike = (padded == padded[:, :1]).all(1)
        self._alike = np.where(alike, padded[:, 0], -1).astype(np.int16)

    def arrays(self) -> tuple[np.ndarray, ...]:
        """The fields in order."""
        return (
            self.normals, self.source_cosine, self.rest_cosine, self.opacities, self.culled,
            self.slope, self.spread, self.share,
        )  # fmt: skip

    def steps(self) -> tuple[np.ndarray, np.ndarray]:
        """``[n]`` rows of the table of rotations, and for each sixteen their common row or -1."""
        return self._steps, self._alike


@dataclass(frozen=True)
class Pose:
    """The pose of a head and the camera that sees it.

    Attributes:
        rotation: ``[3, 3]`` rotation of the whole head.
        shift: ``[3]`` head translation, scaled by the neck weight.
        pivot: ``[3]`` centre of rotation.
        eye: ``[3]`` camera position.
        focal: focal length, pixels.
    """

    rotation: Float[np.ndarray, "3 3"]
    shift: Float[np.ndarray, " 3"]
    pivot: Float[np.ndarray, " 3"]
    eye: Float[np.ndarray, " 3"]
    focal: float

    def packed(self) -> tuple[np.ndarray, np.ndarray]:
        """The rotations down the neck, flattened, and 13 numbers, as the kernel expects them."""
        turn = rotation_vector(self.rotation)
        numbers = np.concatenate([turn, self.shift, self.pivot, self.eye, [self.focal]])
        return neck_rotations(turn).reshape(-1), numbers.astype(np.float32)


@dataclass(frozen=True)
class MovedSplats:
    """Splats that an expression has moved, before the head turns.

    Attributes:
        positions: ``[n, 3]`` head frame, centimetres.
        tangent_u: ``[n, 3]`` one grid step to the right.
        tangent_v: ``[n, 3]`` one grid step down.
    """

    positions: Float32[np.ndarray, "n 3"]
    tangent_u: Float32[np.ndarray, "n 3"]
    tangent_v: Float32[np.ndarray, "n 3"]

    def arrays(self) -> tuple[np.ndarray, ...]:
        """The fields in order."""
        return self.positions, self.tangent_u, self.tangent_v


def skin_and_shape(
    rest: RestSurface,
    moved: MovedSplats,
    pose: Pose,
    out: SplatArrays,
    *,
    spans: Sequence[tuple[int, int]] | None = None,
    hidden: bool = False,
) -> None:
    """Rotate splats about the neck, compute covariances, hide what must not be seen from here.

    A splat that the source saw at a flat angle is stretched when the head turns it to the camera.
    Its opacity falls as the viewing cosine grows beyond the source's by ``FADE_START`` to
    ``FADE_END`` times ``source_cosine``, so that the completed surface underneath takes over; in
    the source view nothing changes.

    Args:
        rest: all splats at rest.
        moved: the same splats, moved by the expression.
        pose: pose of the head.
        out: means, covariances and opacities are written; colours are left as they are.
        spans: ranges of splats to work on; None for all. Ends are widened to multiples of 16.
        hidden: also compute the covariances of splats that cannot be seen from here, a third of a
            head; otherwise these stay as they were.
    """
    count = len(rest.opacities)
    tables = pose.packed()
    limit = np.float32(-1.0 if hidden else _HIDDEN)
    whole = count // LANES * LANES
    inputs = flat(*moved.arrays(), *rest.arrays())
    arrays = inputs, tables, flat(out.means, out.covars, out.opacities)

    def work(start: int, stop: int) -> None:
        scratch = np.empty(9 * LANES, np.float32)
        _skin(start, min(stop, whole), limit, *arrays, rest.steps(), scratch)

    spans = [(0, count)] if spans is None else spans
    blocks = [(a // LANES * LANES, min(whole, -(-b // LANES) * LANES)) for a, b in spans]
    spread_over(work, [span for span in blocks if span[1] > span[0]])
    if whole < count and any(b > whole for _, b in spans):
        _skin_tail(arrays, limit, rest.steps(), whole)


def _skin_tail(arrays: Any, limit: Any, steps: tuple[np.ndarray, np.ndarray], whole: int) -> None:
    """Process the last splats, fewer than sixteen, padded with invisible ones."""
    inputs, tables, outputs = arrays
    count = len(steps[0])

    def padded(array: np.ndarray) -> np.ndarray:
        width = len(array) // count
        rest = array[whole * width :]
        return np.concatenate([rest, np.zeros(LANES * width - len(rest), array.dtype)])

    filled = [padded(array) for array in outputs]
    common = np.full(1, -1, np.int16)
    scratch = np.empty(9 * LANES, np.float32)
    _skin(
        0, LANES, limit, tuple(map(padded, inputs)), tables, tuple(filled),
        (padded(steps[0]), common), scratch,
    )  # fmt: skip
    for array, part in zip(outputs, filled, strict=True):
        width = len(array) // count
        array[whole * width :] = part[: (count - whole) * width]


@helper
def _rotations(table: Any, steps: Any, start: Any, scratch: Any) -> Any:
    """The rows of sixteen rotation matrices, with one vector per element."""
    numbers, alike = steps
    common = alike[start // LANES]
    if common >= 0:
        for k in range(9):
            store(scratch, k * LANES, splat(table[common * 9 + k]))
    else:
        for lane in range(LANES):
            place = np.int64(numbers[start + lane]) * 9
            for k in range(9):
                scratch[k * LANES + lane] = table[place + k]
    row0 = (load(scratch, 0), load(scratch, LANES), load(scratch, 2 * LANES))
    row1 = (load(scratch, 3 * LANES), load(scratch, 4 * LANES), load(scratch, 5 * LANES))
    row2 = (load(scratch, 6 * LANES), load(scratch, 7 * LANES), load(scratch, 8 * LANES))
    return row0, row1, row2


@helper
def _dot(a: Any, b: Any) -> Any:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@helper
def _turned(rows: Any, v: Any) -> Any:
    return _dot(rows[0], v), _dot(rows[1], v), _dot(rows[2], v)


@helper
def _plus(a: Any, b: Any, factor: Any) -> Any:
    return a[0] + factor * b[0], a[1] + factor * b[1], a[2] + factor * b[2]


@helper
def _opacity(rest: Any, start: Any, rows: Any, toward: Any) -> Any:
    """Opacities as seen from the camera; ``toward`` are unit vectors pointing to it."""
    normals, source_cosine, rest_cosine, opacities, culled = rest[:5]
    cosine = _dot(_turned(rows, load_columns(normals, start * 3, 3)), toward)
    visible = load(opacities, start)
    visible = select((load(culled, start) > 0.0) & (cosine < 0.0), 0.0, visible)
    seen = load(source_cosine, start)
    t = (cosine - load(rest_cosine, start)) / seen
    t = minimum(maximum((t - FADE_START) / (FADE_END - FADE_START), 0.0), 1.0)
    left = 1.0 - t * t * (3.0 - 2.0 * t)
    return select(seen > 0.0, visible * left, visible)


@helper
def _spread(base: Any, tangent: Any, toward: Any, scale: Any) -> Any:
    """Covariance per squared tangent, larger where a grid step as seen is longer than a pixel."""
    along = _dot(tangent, toward)
    across = maximum(_dot(tangent, tangent) - along * along, 0.0)
    grown = square_root(across) * scale - 1.0
    return maximum(base, minimum(base + _STRETCH_SPREAD * grown, _FULL_SPREAD))


@kernel
def _skin(
    start: int, stop: int, limit: Any, inputs: Any, pose: Any, outputs: Any, steps: Any,
    scratch: Any,
) -> None:  # fmt: skip
    """Process splats ``start`` … ``stop``, multiples of 16; see :func:`skin_and_shape`.

    Blocks of sixteen without any opacity above ``limit`` get no covariances.
    """
    positions, tangent_u, tangent_v = inputs[:3]
    rest = inputs[3:]
    slope, spread, share = rest[5:]
    table, numbers = pose
    means, covars, opacities = outputs
    turn = (numbers[0], numbers[1], numbers[2])
    shift = (numbers[3], numbers[4], numbers[5])
    pivot = (numbers[6], numbers[7], numbers[8])
    for i in range(start, stop, LANES):
        rows = _rotations(table, steps, i, scratch)
        px, py, pz = load_columns(positions, i * 3, 3)
        # The vector from the pivot to the splat, rotated and then shifted.
        q = _turned(rows, (px - pivot[0], py - pivot[1], pz - pivot[2]))
        q = _plus(q, shift, load(share, i))
        x, y, z = q[0] + pivot[0], q[1] + pivot[1], q[2] + pivot[2]
        ex, ey, ez = numbers[9] - x, numbers[10] - y, numbers[11] - z
        near = 1.0 / square_root(ex * ex + ey * ey + ez * ez)
        toward = (ex * near, ey * near, ez * near)
        visible = _opacity(rest, i, rows, toward)
        store_columns(means, i * 3, (x, y, z))
        store(opacities, i, visible)
        if largest(visible) < limit:
            continue
        # How a point at q moves as the neck weight grows.
        sheared = (
            turn[1] * q[2] - turn[2] * q[1] + shift[0],
            turn[2] * q[0] - turn[0] * q[2] + shift[1],
            turn[0] * q[1] - turn[1] * q[0] + shift[2],
        )
        slope_u, slope_v = load_columns(slope, i * 2, 2)
        a = _turned(rows, load_columns(tangent_u, i * 3, 3))
        b = _turned(rows, load_columns(tangent_v, i * 3, 3))
        a, b = _plus(a, sheared, slope_u), _plus(b, sheared, slope_v)
        base, scale = load(spread, i), near * numbers[12]
        s, t = _spread(base, a, toward, scale), _spread(base, b, toward, scale)
        sa, tb = (s * a[0], s * a[1], s * a[2]), (t * b[0], t * b[1], t * b[2])
        shape = (
            sa[0] * a[0] + tb[0] * b[0],
            sa[0] * a[1] + tb[0] * b[1],
            sa[0] * a[2] + tb[0] * b[2],
            sa[1] * a[1] + tb[1] * b[1],
            sa[1] * a[2] + tb[1] * b[2],
            sa[2] * a[2] + tb[2] * b[2],
        )
        store_columns(covars, i * 6, shape)
