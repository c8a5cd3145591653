"""Features of places in space, read from planes and lines: kernels, forward and backward.

The readable definition is :func:`talkcli.engines.audio_plane.planes.reference_features`; here a
cell of a table is one vector of sixteen channels, so that a place takes four loads per plane and
two per line, and nothing between table and product is written to memory. Forward, threads share
the places; backward, they share the tables, so that no two of them add to the same cell and sums
come in one order.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from talkcli import runtime
from talkcli.kernels import pool
from talkcli.kernels.jit import helper, kernel
from talkcli.kernels.memory import load, store
from talkcli.kernels.simd import LANES, splat
from talkcli.render.cpu.raster import aligned, flat
from talkcli.shapes import Float32

#: Cells along each side of a table.
SCALES = (8, 16, 32, 64)
#: Channels of a cell, D of the paper.
CHANNELS = LANES
#: Planes XY, XZ and YZ, each with the line along the third axis: Z, Y and X.
PAIRS = 3
#: Number of tables of each kind, and of features of a place.
TABLES = len(SCALES) * PAIRS
FEATURES = TABLES * CHANNELS
#: Cells of all scales, for each pair.
PLANE_CELLS, LINE_CELLS = sum(s * s for s in SCALES), sum(SCALES)

#: How the features of all scales and pairs become one vector.
Join = Literal["concatenate", "add", "multiply"]
JOINS: tuple[Join, ...] = get_args(Join)

#: Places that a thread takes at a time.
_GRAIN = 1024


@helper
def _within(place: Any, size: int) -> Any:
    """The cell before a place of 0 to 1, and how far it lies towards the next."""
    position = place * np.float32(size - 1)
    cell = min(int(position), size - 2)
    return cell, position - np.float32(cell)


@helper
def _corners(places: Any, i: int, pair: int, size: int) -> Any:
    """Of a place: the first cell of the plane and of the line, and the weights of six cells."""
    first, second = (0 if pair < 2 else 1), (1 if pair == 0 else 2)
    column, right = _within(places[3 * i + first], size)
    row, below = _within(places[3 * i + second], size)
    cell, after = _within(places[3 * i + 2 - pair], size)
    left, above = np.float32(1.0) - right, np.float32(1.0) - below
    corners = (above * left, above * right, below * left, below * right)
    return row * size + column, cell, corners, (np.float32(1.0) - after, after)


@helper
def _on_plane(planes: Any, at: int, size: int, corners: Any) -> Any:
    """The plane's value between four cells."""
    below = at + size * LANES
    upper = load(planes, at) * corners[0] + load(planes, at + LANES) * corners[1]
    return upper + load(planes, below) * corners[2] + load(planes, below + LANES) * corners[3]


@helper
def _on_line(lines: Any, at: int, ends: Any) -> Any:
    return load(lines, at) * ends[0] + load(lines, at + LANES) * ends[1]


@kernel
def _read(start: int, stop: int, sizes: Any, places: Any, tables: Any, out: Any) -> None:
    """Set the features of the places ``start`` … ``stop``.

    Args:
        start: first place.
        stop: end of the places.
        sizes: ``[S]`` int64 cells along the sides of the tables.
        places: flat ``[M, 3]``, 0–1.
        tables: planes ``[3, cells, 16]``, lines ``[3, cells, 16]`` and code ``[S, 3, 16]``, flat.
        out: flat ``[M, S, 3, 16]``.
    """
    planes, lines, code = tables
    scales = len(sizes)
    areas = lengths = 0
    for s in range(scales):
        areas += sizes[s] * sizes[s]
        lengths += sizes[s]
    for i in range(start, stop):
        before = along = 0
        for s in range(scales):
            size = sizes[s]
            for pair in range(3):
                cell, step, corners, ends = _corners(places, i, pair, size)
                value = _on_plane(planes, (pair * areas + before + cell) * LANES, size, corners)
                value = value * _on_line(lines, (pair * lengths + along + step) * LANES, ends)
                at = (s * 3 + pair) * LANES
                store(out, i * scales * 3 * LANES + at, value * load(code, at))
            before += size * size
            along += size


@helper
def _add(array: Any, at: int, value: Any) -> None:
    store(array, at, load(array, at) + value)


@kernel
def _differentiate(table: int, sizes: Any, places: Any, tables: Any, slopes: Any, of: Any) -> None:
    """Add the gradients towards one table: plane, line and code of one scale and pair.

    Args:
        table: number of the scale times 3, plus that of the pair.
        sizes: as for :func:`_read`.
        places: likewise.
        tables: likewise.
        slopes: the gradients towards them, in the same order.
        of: gradient towards what :func:`_read` sets.
    """
    planes, lines, code = tables
    to_planes, to_lines, to_code = slopes
    scale, pair = table // 3, table % 3
    areas = before = lengths = along = 0
    for s in range(len(sizes)):
        if s < scale:
            before += sizes[s] * sizes[s]
            along += sizes[s]
        areas += sizes[s] * sizes[s]
        lengths += sizes[s]
    size = sizes[scale]
    factor = load(code, table * LANES)
    summed = splat(0.0)
    for i in range(len(places) // 3):
        cell, step, corners, ends = _corners(places, i, pair, size)
        at, below = (pair * areas + before + cell) * LANES, size * LANES
        on = (pair * lengths + along + step) * LANES
        slope = load(of, (i * len(sizes) * 3 + table) * LANES)
        plane, line = _on_plane(planes, at, size, corners), _on_line(lines, on, ends)
        summed = summed + slope * plane * line
        slope = slope * factor
        to_line, to_plane = slope * plane, slope * line
        _add(to_lines, on, to_line * ends[0])
        _add(to_lines, on + LANES, to_line * ends[1])
        _add(to_planes, at, to_plane * corners[0])
        _add(to_planes, at + LANES, to_plane * corners[1])
        _add(to_planes, at + below, to_plane * corners[2])
        _add(to_planes, at + below + LANES, to_plane * corners[3])
    store(to_code, table * LANES, summed)


def _sizes() -> np.ndarray:
    return np.array(SCALES, np.int64)


def read_features(
    planes: Float32[np.ndarray, "3 P 16"],
    lines: Float32[np.ndarray, "3 L 16"],
    code: Float32[np.ndarray, " C"],
    places: Float32[np.ndarray, "M 3"],
) -> Float32[np.ndarray, "M C"]:
    """``[M, 192]`` features: plane times line times code, of every scale and pair.

    Args:
        planes: ``[3, 5440, 16]`` XY, XZ, YZ; of each, the four scales one after the other, the
            first axis along the rows.
        lines: ``[3, 120, 16]`` Z, Y, X, likewise.
        code: ``[192]`` of scale, pair and channel.
        places: ``[M, 3]`` x, y and z, 0 to 1.
    """
    count = len(places)
    out = aligned(count * FEATURES, np.float32)
    arrays = flat(places), tuple(map(flat, (planes, lines, code)))
    parts = -(-count // _GRAIN)

    def work(part: int) -> None:
        _read(part * _GRAIN, min(count, (part + 1) * _GRAIN), _sizes(), *arrays, out)

    pool.run(work, parts, min(runtime.thread_count(), max(parts, 1)))
    return out.reshape(count, FEATURES)


def feature_gradients(
    planes: Float32[np.ndarray, "3 P 16"],
    lines: Float32[np.ndarray, "3 L 16"],
    code: Float32[np.ndarray, " C"],
    places: Float32[np.ndarray, "M 3"],
    gradient: Float32[np.ndarray, "M C"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients towards planes, lines and code of what :func:`read_features` gives.

    Args:
        planes: as for :func:`read_features`.
        lines: likewise.
        code: likewise.
        places: likewise; no gradient is taken towards them.
        gradient: ``[M, 192]`` towards the features.
    """
    slopes = np.zeros_like(planes), np.zeros_like(lines), np.zeros_like(code)
    tables, zeros = (tuple(map(flat, these)) for these in ((planes, lines, code), slopes))
    arrays = flat(places), tables, zeros, flat(gradient)

    def work(table: int) -> None:
        # The finest plane takes longest, since it does not stay in the cache.
        _differentiate(TABLES - 1 - table, _sizes(), *arrays)

    pool.run(work, TABLES, runtime.thread_count())
    return slopes
