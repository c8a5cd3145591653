"""The line between closed lips, found in the picture.

Landmarks place it to within a few pixels. What lies between their line and the real one moves with
the wrong lip: as soon as the lips part, a strip of one hangs from the other.
"""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.engines.portrait.build.images import blur_along, mean_color
from talkcli.face.topology import (
    INNER_CORNERS,
    INNER_LOWER,
    INNER_UPPER,
    LIP_LOWER_ROWS,
    LIP_UPPER_ROWS,
)
from talkcli.shapes import Float

#: Lips further apart than this (face heights) do not touch, so there is no such line.
_TOUCHING_FH = 0.0075
#: Search distance from the landmarks' line, and blur along and width of the line (face heights).
_REACH_FH, _NARROW_FH, _WIDE_FH = 0.03, 0.003, 0.016
#: A line shifted by more than this share of the reach, on average, is a moustache's or a shadow's.
_MOST_SHIFT = 0.6
#: Number of columns across the mouth, and of steps up and down.
_COLUMNS, _STEPS = 96, 61
#: Cost of being at the limit of the reach, and of a step from column to column, in units of the
#: depth of the darkest line.
_FAR_COST, _STEP_COST = 0.6, 0.12
#: A line shallower than this (0–1, mean over the mouth) does not count.
_LEAST_DEPTH = 0.012
#: Distance from the darkest place to half the light below it: up to the first the line is trusted,
#: and from the second, landmarks are just as good.
_SHARP_FH, _BLURRED_FH = 0.009, 0.012
#: Share of the shift applied to each row of a lip, from its outer edge to the line.
_ROW_SHARES = (0.0, 0.4, 0.75, 1.0)


def find_lip_line(
    rgb: Float[np.ndarray, "S S 3"], points: Float[np.ndarray, "478 3"]
) -> Float[np.ndarray, "478 3"]:
    """Move the landmarks so that the lips meet where they do in the picture.

    The line is the darkest path from corner to corner near the landmarks' line, found by dynamic
    programming.

    Args:
        rgb: ``[S, S, 3]`` float32, 0–1.
        points: ``[478, 3]`` landmarks in its pixels.

    Returns:
        ``[478, 3]``; unchanged where the mouth is open or no such path is clear.
    """
    height = float(np.linalg.norm(points[10, :2] - points[152, :2]))
    if np.linalg.norm(points[13, :2] - points[14, :2]) > _TOUCHING_FH * height:
        return points
    right, left = points[list(INNER_CORNERS), :2]
    width = float(np.linalg.norm(left - right))
    axis = (left - right) / max(width, 1e-6)
    down = np.array([-axis[1], axis[0]])
    lines = points[[INNER_UPPER, INNER_LOWER], :2] - right
    along, offset = lines @ axis / max(width, 1e-6), lines @ down
    across = np.linspace(0, 1, _COLUMNS)
    middle = np.interp(across, [0.0, *along.mean(0), 1.0], [0.0, *offset.mean(0), 0.0])
    reach = _REACH_FH * height
    steps, step = np.linspace(-reach, reach, _STEPS, retstep=True)
    places = right + across[None, :, None] * width * axis
    places = places + (middle + steps[:, None])[..., None] * down
    luma, depth = _valley(rgb, places.astype(np.float32), height, float(step))
    path = _cheapest_path(_line_cost(depth))
    clear = depth[path, np.arange(_COLUMNS)].mean() > _LEAST_DEPTH
    if not clear or np.abs(steps[path]).mean() > _MOST_SHIFT * reach:
        return points
    # Beside a dark lip the valley is shifted towards that lip: go on to the darkest place nearby.
    band = np.abs(np.arange(_STEPS)[:, None] - path) > _WIDE_FH / 2 * height / step
    darkness = (luma - luma.min(0)) / max(float(np.quantile(depth.max(0), 0.5)), 1e-3)
    path = _cheapest_path(darkness + 10.0 * band + _corner_cost())
    # The shadow is under the upper lip; the lips meet between it and the lit edge below.
    edge = _lower_edge(luma, path, round(_WIDE_FH * height / step))
    shift = (steps[path] + steps[edge]) / 2
    blur = float((steps[edge] - steps[path]).mean()) / height
    shift = shift * np.clip((_BLURRED_FH - blur) / (_BLURRED_FH - _SHARP_FH), 0, 1)
    shift = blur_along(shift[None], 0.02 * _COLUMNS, axis=1)[0]
    found = middle + shift
    moved = points.copy()
    for k, position in enumerate(along.mean(0)):
        target = float(np.interp(position, across, found))
        for rows, line in ((LIP_UPPER_ROWS, 0), (LIP_LOWER_ROWS, 1)):
            move = target - offset[line, k]
            for row, share in zip(rows, _ROW_SHARES, strict=True):
                moved[row[k], :2] += share * move * down
    return moved


def _valley(
    rgb: np.ndarray, places: np.ndarray, height: float, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """``[_STEPS, _COLUMNS]`` brightness, and how much darker each place is than above and below."""
    luma = mean_color(cv2.remap(rgb, places[..., 0], places[..., 1], cv2.INTER_LINEAR))
    luma = blur_along(luma, 0.015 * _COLUMNS, axis=1)
    luma = blur_along(luma, _NARROW_FH * height / step, axis=0)
    away = max(1, round(_WIDE_FH * height / step))
    padded = np.pad(luma, ((away, away), (0, 0)), mode="edge")
    above, below = padded[: len(luma)], padded[2 * away :]
    return luma, np.asarray(np.minimum(above, below) - luma)


def _lower_edge(luma: np.ndarray, path: np.ndarray, reach: int) -> np.ndarray:
    """``[_COLUMNS]`` step at which each column, going down from ``path``, is only half as dark."""
    edge = path.copy()
    for column, start in enumerate(path):
        below = luma[start : start + max(reach, 1) + 1, column]
        edge[column] += int(np.argmax(below >= (below[0] + below.max()) / 2))
    return edge


def _line_cost(depth: np.ndarray) -> np.ndarray:
    scale = max(float(np.quantile(depth.max(0), 0.5)), 1e-3)
    from_middle = np.linspace(-1, 1, _STEPS)[:, None]
    return np.asarray(-depth / scale + _FAR_COST * from_middle**2 + _corner_cost())


def _corner_cost() -> np.ndarray:
    """Extra cost near the corners, where the landmarks are trusted."""
    across = np.linspace(0, 1, _COLUMNS)
    allowed = np.clip(6 * np.minimum(across, 1 - across), 0.15, 1)
    return np.asarray(4 * np.maximum(0, np.abs(np.linspace(-1, 1, _STEPS))[:, None] - allowed))


def _cheapest_path(cost: np.ndarray) -> np.ndarray:
    """``[columns]`` row of the cheapest path in each column, by dynamic programming."""
    count, columns = cost.shape
    total, came = cost[:, 0], np.zeros(cost.shape, int)
    change = np.arange(-2, 3)
    for column in range(1, columns):
        padded = np.pad(total, 2, constant_values=np.inf)
        options = np.stack([padded[2 + d : 2 + d + count] for d in change])
        options = options + _STEP_COST * np.abs(change)[:, None]
        best = options.argmin(0)
        came[:, column] = np.arange(count) + change[best]
        total = options[best, np.arange(count)] + cost[:, column]
    path = np.zeros(columns, int)
    path[-1] = int(total.argmin())
    for column in range(columns - 1, 0, -1):
        path[column - 1] = came[path[column], column]
    return path
