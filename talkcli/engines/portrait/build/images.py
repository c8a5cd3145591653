"""Small image operations that several building steps share."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from talkcli.layers.closed_form import nearest_index

#: Bare skin differs from the face's by less than this in chroma, and its light lies between these
#: shares of the face's; white collars are lighter.
_CHROMA, _DARK, _LIGHT = 0.06, 0.3, 1.1
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of a float32 image with replicated borders."""
    source = np.ascontiguousarray(image, np.float32)
    return np.asarray(cv2.GaussianBlur(source, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))


def blur_along(image: np.ndarray, sigma: float, axis: int) -> np.ndarray:
    """Gaussian blur of ``[H, W]`` along one axis only, with replicated borders, as float32."""
    source = np.ascontiguousarray(image, np.float32)
    size = (0, 1) if axis else (1, 0)
    return np.asarray(
        cv2.GaussianBlur(source, size, sigma, sigmaY=sigma, borderType=cv2.BORDER_REPLICATE)
    )


def window(mask: np.ndarray, margin: int) -> tuple[slice, slice]:
    """Rows and columns of the True pixels and of what is within ``margin`` pixels of them."""
    spans = []
    for axis in (1, 0):
        found = np.flatnonzero(mask.any(axis))
        first, last = (found[0], found[-1]) if len(found) else (0, -1)
        spans.append(slice(max(0, int(first) - margin), int(last) + 1 + margin))
    return spans[0], spans[1]


def lengths(vectors: np.ndarray) -> np.ndarray:
    """``[...]`` lengths of vectors ``[..., D]``; numpy's own norm takes three times as long."""
    return np.asarray(np.sqrt(np.einsum("...d,...d->...", vectors, vectors)))


def unit(vectors: np.ndarray, least: float = 1e-9) -> np.ndarray:
    """Vectors ``[..., D]`` at length 1; shorter than ``least``, they stay shorter than 1."""
    return np.asarray(vectors / np.maximum(lengths(vectors), least)[..., None])


def mean_color(image: np.ndarray) -> np.ndarray:
    """``[...]`` mean of the three channels of ``[..., 3]``; numpy's own takes six times as long."""
    return np.asarray((image[..., 0] + image[..., 1] + image[..., 2]) * image.dtype.type(1 / 3))


def highest_color(image: np.ndarray) -> np.ndarray:
    """``[...]`` largest of the three channels of ``[..., 3]``."""
    return np.asarray(np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2]))


def coloured_like(colors: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """``[S, S]`` bool: coloured like the face's ``skin [3]``, in whatever light."""
    chroma = colors / np.maximum(3 * mean_color(colors), 0.05)[..., None] - skin / skin.sum()
    light = mean_color(colors) / skin.mean()
    near = highest_color(np.abs(chroma)) < _CHROMA
    return np.asarray(near & (light > _DARK) & (light < _LIGHT))


def filled(outline: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """``[H, W]`` bool: the inside of an outline ``[k, 2]`` of pixels, each with its centre at 0.

    Args:
        outline: x and y of the corners.
        shape: height and width, and maybe more.
    """
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
    return mask > 0


def dilate(mask: np.ndarray, steps: int = 1) -> np.ndarray:
    """Grow a mask ``[H, W]`` by one pixel to each of four sides, ``steps`` times."""
    return cv2.dilate(mask.astype(np.uint8), _CROSS, iterations=steps) > 0


def erode(mask: np.ndarray, steps: int = 1, *, beyond: bool = False) -> np.ndarray:
    """Shrink a mask ``[H, W]`` from four sides, ``steps`` times.

    Args:
        mask: bool.
        steps: pixels.
        beyond: whether the mask goes on beyond the picture; if not, it shrinks from there as well.
    """
    eroded = cv2.erode(
        mask.astype(np.uint8), _CROSS, iterations=steps,
        borderType=cv2.BORDER_CONSTANT, borderValue=int(beyond),
    )  # fmt: skip
    return np.asarray(eroded > 0)


def lowest(image: np.ndarray, reach: int) -> np.ndarray:
    """``[H, W]`` smallest value within ``reach`` pixels in both directions, as float32."""
    side = 2 * reach + 1
    return cv2.erode(np.ascontiguousarray(image, np.float32), np.ones((side, side), np.uint8))


def highest(image: np.ndarray, reach: int) -> np.ndarray:
    """``[H, W]`` largest value within ``reach`` pixels in both directions, as float32."""
    side = 2 * reach + 1
    return cv2.dilate(np.ascontiguousarray(image, np.float32), np.ones((side, side), np.uint8))


def nearest(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every pixel, the distance in pixels to the nearest True one, and its flat index.

    Where several are about equally near, it may be one that is up to 4 % further. If there is none,
    distances are infinite and every pixel has its own index.
    """
    own = np.arange(mask.size, dtype=np.int32).reshape(mask.shape)
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32), own
    index = nearest_index(mask)
    row, column = np.divmod(index, np.int32(mask.shape[1]))
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    return np.hypot(row - rows, column - columns, dtype=np.float32), index


def at(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Values ``[H, W, ...]`` of the pixels with flat indices ``[n, m]``: ``[n, m, ...]``."""
    return np.asarray(values.reshape(-1, *values.shape[2:]).take(index, axis=0))


def distance_to(mask: np.ndarray) -> np.ndarray:
    """``[H, W]`` float32 distance in pixels to the nearest True pixel, infinite if none is."""
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away)


def inside_distance(mask: np.ndarray) -> np.ndarray:
    """Distance in pixels to the edge of ``mask`` from within; the picture's border is no edge.

    A mask that has no edge counts as far from it: twice the sum of the picture's sides.
    """
    return np.minimum(distance_to(~mask), np.float32(2 * sum(mask.shape)))


def shrunk_until(
    settled: Callable[[np.ndarray, np.ndarray], np.ndarray],
    done: np.ndarray,
    least: float,
    *,
    reach: int,
    wrap: bool = False,
) -> np.ndarray:
    """The largest factor, of 16 from 1 to ``least``, at which each point of a grid is settled.

    Args:
        settled: takes factors ``[n]`` and the flat indices ``[n]`` of points; returns which of
            these are settled, ``[n]`` bool.
        done: ``[H, W]`` bool, points that need not shrink.
        least: smallest factor, also for points that even this does not settle.
        reach: neighbours within this distance smoothly follow the smallest factor.
        wrap: whether the columns form a ring.
    """
    shrink = np.ones(done.shape, np.float32)
    open_ = np.flatnonzero(~done)
    for factor in np.linspace(1.0, least, 16, dtype=np.float32):
        shrink.ravel()[open_] = factor
        open_ = open_[~settled(np.full(len(open_), factor), open_)]
    pad = ((0, 0), (4 * reach, 4 * reach))
    followed = np.pad(shrink, pad, mode="wrap") if wrap else shrink
    followed = blur(lowest(followed, reach), float(reach))
    return np.minimum(shrink, followed[:, 4 * reach : -4 * reach] if wrap else followed)


def shrunk_mean(
    values: np.ndarray, weight: np.ndarray, size: tuple[int, int], sigma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means around each cell of a small grid, and how much is known there.

    Args:
        values: ``[H, W, C]`` float32.
        weight: ``[H, W]`` float32, 0 where unknown.
        size: columns ``w`` and rows ``h`` of the grid.
        sigma: of the Gaussian, in its cells.

    Returns:
        ``[h, w, C]`` means and ``[h, w]`` sums of the weights.
    """
    parts = np.dstack([values * weight[..., None], weight])
    parts = blur(cv2.resize(parts, size, interpolation=cv2.INTER_AREA), sigma)
    return parts[..., :-1] / np.maximum(parts[..., -1:], 1e-6), parts[..., -1]


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
    flat = (values if values.ndim == 3 else values[..., None]).astype(np.float32)
    weights = weights.astype(np.float32)
    if wrap:
        half = values.shape[1] // 2
        flat = np.pad(flat, ((0, 0), (half, half), (0, 0)), mode="wrap")
        filled = _push_pull(flat, np.pad(weights, ((0, 0), (half, half)), mode="wrap"))
        filled = filled[:, half : half + values.shape[1]]
    else:
        filled = _push_pull(flat, weights)
    return filled if values.ndim == 3 else filled[..., 0]


def _push_pull(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    levels = [(values * weights[..., None], weights)]
    while min(levels[-1][1].shape) > 2:
        value, weight = levels[-1]
        smaller = cv2.pyrDown(weight)
        levels.append((cv2.pyrDown(value).reshape(*smaller.shape, -1), smaller))
    value, weight = levels[-1]
    total = max(float(weight.sum()), 1e-9)
    result = np.broadcast_to(value.sum((0, 1)) / total, value.shape).astype(np.float32)
    for value, weight in reversed(levels):
        size = (weight.shape[1], weight.shape[0])
        result = cv2.resize(result, size, interpolation=cv2.INTER_LINEAR).reshape(value.shape)
        # known · (value / weight - result) + result, where known is the weight doubled, at most 1.
        known = np.minimum(weight + weight, 1)
        share = known / np.maximum(weight, 1e-6)
        result *= (1 - known)[..., None]
        value *= share[..., None]
        result += value
    return result
