"""Draws a bent sheet of a picture: for every pixel, the place in the picture that it shows.

The readable twin is in ``tests/unit/compose/test_mesh.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from talkcli.kernels.jit import kernel
from talkcli.shapes import Bool, Float32

_ONE = np.float32(1)
_FAR = np.float32(1e9)
#: Pixels on the edge between two triangles belong to both; rounding must not give them to neither.
_SLACK = np.float32(1e-4)


def sheet_places(
    nodes: Float32[np.ndarray, "n m 3"],
    places: Float32[np.ndarray, "n m 2"],
    cells: Bool[np.ndarray, "n1 m1"],
    shape: tuple[int, int],
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Where the pixels of a drawn sheet come from; of several places, the nearest to the camera.

    Args:
        nodes: ``[n, m, 3]`` drawn place of each node of the sheet, pixels, whole at their centres,
            and depth.
        places: ``[n, m, 2]`` what the node shows, likewise.
        cells: ``[n - 1, m - 1]`` which of the cells between nodes there are.
        shape: height and width of the drawing.

    Returns:
        ``[h, w]`` x and y of what each pixel shows, -1e9 where the sheet does not reach, and 1
        where it does, else 0.
    """
    across, down = np.full((2, *shape), -_FAR, np.float32)
    depth = np.full(shape, _FAR, np.float32)
    _draw(nodes, places, cells.astype(np.uint8), across, down, depth)
    return across, down, (depth < _FAR).astype(np.float32)


@kernel
def _draw(nodes: Any, places: Any, cells: Any, across: Any, down: Any, depth: Any) -> None:
    height, width = depth.shape
    for i in range(cells.shape[0]):
        for j in range(cells.shape[1]):
            if not cells[i, j]:
                continue
            for half in range(2):
                # The two triangles of a cell share its diagonal from upper right to lower left.
                ai, aj = (i, j) if half == 0 else (i + 1, j + 1)
                bi, bj = i, j + 1
                ci, cj = i + 1, j
                ax, ay, bx, by = (
                    nodes[ai, aj, 0],
                    nodes[ai, aj, 1],
                    nodes[bi, bj, 0],
                    nodes[bi, bj, 1],
                )
                cx, cy = nodes[ci, cj, 0], nodes[ci, cj, 1]
                area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
                if abs(area) < np.float32(1e-6):
                    continue
                scale = _ONE / area
                first = max(0, int(np.ceil(min(ay, by, cy))))
                last = min(height - 1, int(np.floor(max(ay, by, cy))))
                left = max(0, int(np.ceil(min(ax, bx, cx))))
                right = min(width - 1, int(np.floor(max(ax, bx, cx))))
                for y in range(first, last + 1):
                    dy = np.float32(y) - ay
                    for x in range(left, right + 1):
                        dx = np.float32(x) - ax
                        s = (dx * (cy - ay) - dy * (cx - ax)) * scale
                        t = (dy * (bx - ax) - dx * (by - ay)) * scale
                        r = _ONE - s - t
                        if min(s, t, r) < -_SLACK:
                            continue
                        z = r * nodes[ai, aj, 2] + s * nodes[bi, bj, 2] + t * nodes[ci, cj, 2]
                        if z < depth[y, x]:
                            depth[y, x] = z
                            across[y, x] = (
                                r * places[ai, aj, 0]
                                + s * places[bi, bj, 0]
                                + t * places[ci, cj, 0]
                            )
                            down[y, x] = (
                                r * places[ai, aj, 1]
                                + s * places[bi, bj, 1]
                                + t * places[ci, cj, 1]
                            )
