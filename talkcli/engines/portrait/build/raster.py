"""Rasterises triangles: which one each pixel shows, at what point of it, and how deep."""

from __future__ import annotations

import numpy as np

from talkcli.kernels.jit import kernel


def rasterize_triangles(
    points: np.ndarray, triangles: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rasterise triangles with a z-buffer, sampled at pixel centres (+0.5).

    Args:
        points: ``[V, 3]`` x, y in pixels, z growing away from the viewer.
        triangles: ``[T, 3]`` vertex indices; both orientations are drawn.
        height: rows of the result.
        width: columns of the result.

    Returns:
        ``[H, W]`` int32 triangle (-1 where none), ``[H, W, 3]`` float32 barycentrics and
        ``[H, W]`` float32 depth (1e9 where none).
    """
    shown = np.full((height, width), -1, np.int32)
    weights = np.zeros((height, width, 3), np.float32)
    depth = np.full((height, width), 1e9, np.float32)
    _rasterize(
        np.ascontiguousarray(points),
        np.ascontiguousarray(triangles, np.int32),
        shown,
        weights,
        depth,
    )
    return shown, weights, depth


@kernel(fastmath=False)
def _rasterize(
    points: np.ndarray,
    triangles: np.ndarray,
    shown: np.ndarray,
    weights: np.ndarray,
    depth: np.ndarray,
) -> None:
    """Draw triangles into the arrays that :func:`rasterize_triangles` returns."""
    height, width = shown.shape
    for t in range(triangles.shape[0]):
        # Numbers, not rows: views of arrays take twice as long to compile.
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay = points[i, 0], points[i, 1]
        bx, by = points[j, 0], points[j, 1]
        cx, cy = points[k, 0], points[k, 1]
        area = (by - cy) * (ax - cx) + (cx - bx) * (ay - cy)
        if abs(area) < 1e-9:
            continue
        x0 = max(0, int(np.floor(min(ax, bx, cx) - 0.5)))
        x1 = min(width - 1, int(np.ceil(max(ax, bx, cx) - 0.5)))
        y0 = max(0, int(np.floor(min(ay, by, cy) - 0.5)))
        y1 = min(height - 1, int(np.ceil(max(ay, by, cy) - 0.5)))
        for row in range(y0, y1 + 1):
            y = row + 0.5
            for column in range(x0, x1 + 1):
                x = column + 0.5
                wa = ((by - cy) * (x - cx) + (cx - bx) * (y - cy)) / area
                wb = ((cy - ay) * (x - cx) + (ax - cx) * (y - cy)) / area
                wc = 1 - wa - wb
                # A small tolerance, so that neighbours leave no crack between them.
                if wa < -1e-4 or wb < -1e-4 or wc < -1e-4:
                    continue
                z = wa * points[i, 2] + wb * points[j, 2] + wc * points[k, 2]
                if z < depth[row, column]:
                    depth[row, column] = z
                    shown[row, column] = t
                    weights[row, column, 0] = wa
                    weights[row, column, 1] = wb
                    weights[row, column, 2] = wc
