"""Small image operations that several building steps share."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from scipy import ndimage


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of a float32 image with replicated borders."""
    source = np.ascontiguousarray(image, np.float32)
    return np.asarray(cv2.GaussianBlur(source, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))


def nearest(mask: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """For every pixel, the distance in pixels to the nearest True one, and its row and column."""
    if not mask.any():
        rows, columns = np.indices(mask.shape)
        return np.full(mask.shape, np.inf), (rows, columns)
    distance, index = ndimage.distance_transform_edt(~mask, return_indices=True)
    return distance, (index[0], index[1])


def inside_distance(mask: np.ndarray) -> np.ndarray:
    """Distance in pixels to the edge of ``mask`` from within; the picture's border is no edge."""
    pad = max(mask.shape) // 2
    padded = np.pad(mask, pad, mode="edge")
    distance = ndimage.distance_transform_edt(padded)[pad:-pad, pad:-pad]
    return np.asarray(distance, np.float32)


def shrunk_until(
    settled: Callable[[np.ndarray | float], np.ndarray],
    done: np.ndarray,
    least: float,
    *,
    reach: int,
    wrap: bool = False,
) -> np.ndarray:
    """The largest factor, of 16 from 1 to ``least``, at which each point of a grid is settled.

    Args:
        settled: returns which points are settled at a factor, ``[H, W]`` bool.
        done: ``[H, W]`` bool, points that need not shrink.
        least: smallest factor, also for points that even this does not settle.
        reach: neighbours within this distance smoothly follow the smallest factor.
        wrap: whether the columns form a ring.
    """
    shrink, done = np.ones(done.shape), done.copy()
    for factor in np.linspace(1.0, least, 16):
        shrink = np.where(done, shrink, factor)
        done |= settled(factor)
    mode = ("nearest", "wrap") if wrap else "reflect"
    lowest = ndimage.minimum_filter(shrink, 2 * reach + 1, mode=mode)
    return np.asarray(np.minimum(shrink, blur(lowest.astype(np.float32), float(reach))))


def fill_smooth(values: np.ndarray, weights: np.ndarray, *, wrap: bool = False) -> np.ndarray:
    """Extend known values to the whole grid with a push–pull pyramid.

    The result follows the known values and interpolates smoothly between them; it approximates the
    harmonic interpolant that gradient-domain blending adds to the pasted texture (Farbman et al.,
    "Coordinates for instant image cloning", 2009).

    Args:
        values: ``[H, W]`` or ``[H, W, C]`` float.
        weights: ``[H, W]`` confidence, 0 where unknown.
        wrap: whether the columns form a ring.
    """
    columns = values.shape[1]
    if wrap:
        values = np.concatenate([values, values, values], 1)
        weights = np.concatenate([weights, weights, weights], 1)
    flat = values if values.ndim == 3 else values[..., None]
    filled = _push_pull(flat.astype(np.float32), weights.astype(np.float32))
    if wrap:
        filled = filled[:, columns : 2 * columns]
    return filled if values.ndim == 3 else filled[..., 0]


def _push_pull(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    levels = [(values * weights[..., None], weights)]
    while min(levels[-1][1].shape) > 2:
        value, weight = levels[-1]
        levels.append(
            (cv2.pyrDown(value).reshape(*cv2.pyrDown(weight).shape, -1), cv2.pyrDown(weight))
        )
    value, weight = levels[-1]
    total = max(float(weight.sum()), 1e-9)
    result = np.broadcast_to(value.sum((0, 1)) / total, value.shape).astype(np.float32)
    for value, weight in reversed(levels):
        size = (weight.shape[1], weight.shape[0])
        coarse = cv2.resize(result, size, interpolation=cv2.INTER_LINEAR).reshape(value.shape)
        known = np.clip(weight * 2, 0, 1)[..., None]
        result = known * (value / np.maximum(weight, 1e-6)[..., None]) + (1 - known) * coarse
    return result
