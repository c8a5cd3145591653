"""Numeric kernels of the matte: matting Laplacian and colour sampling.

Nothing here depends on faces or networks; images are float32 0–1 (sRGB-encoded), masks are bool.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from talkcli.kernels.jit import helper, kernel

_N = np.float32(1.0 / 9.0)  # windows are 3×3


@kernel(fastmath=True)
def _window_models(
    image: np.ndarray,
    unknown: np.ndarray,
    eps: float,
    active: np.ndarray,
    mean: np.ndarray,
    inverse: np.ndarray,
    m: np.ndarray,
) -> None:
    """Mean and inverse covariance of every 3×3 window that touches an unknown pixel.

    They go into ``active`` [H,W] bool, ``mean`` [H,W,3] and ``inverse`` [H,W,6], which are zero;
    ``m`` is [3] scratch.
    """
    h, w, _ = image.shape
    for y in range(1, h - 1):
        for x in range(1, w - 1):
            part = image[y - 1 : y + 2, x - 1 : x + 2]
            for j in range(3):
                for i in range(3):
                    active[y, x] |= unknown[y + j - 1, x + i - 1]
            if not active[y, x]:
                continue
            # float64: in grey pictures only eps keeps the 3×3 covariance from being singular.
            m[:] = 0.0
            for j in range(3):
                for i in range(3):
                    for c in range(3):
                        m[c] += part[j, i, c] / 9.0
            c00, c11, c22 = eps, eps, eps
            c01, c02, c12 = 0.0, 0.0, 0.0
            for j in range(3):
                for i in range(3):
                    d0 = part[j, i, 0] - m[0]
                    d1 = part[j, i, 1] - m[1]
                    d2 = part[j, i, 2] - m[2]
                    c00 += d0 * d0 / 9.0
                    c11 += d1 * d1 / 9.0
                    c22 += d2 * d2 / 9.0
                    c01 += d0 * d1 / 9.0
                    c02 += d0 * d2 / 9.0
                    c12 += d1 * d2 / 9.0
            i00 = c11 * c22 - c12 * c12
            i01 = c02 * c12 - c01 * c22
            i02 = c01 * c12 - c02 * c11
            r = 1.0 / (c00 * i00 + c01 * i01 + c02 * i02)
            for c in range(3):
                mean[y, x, c] = m[c]
            inverse[y, x, 0] = i00 * r
            inverse[y, x, 1] = i01 * r
            inverse[y, x, 2] = i02 * r
            inverse[y, x, 3] = (c00 * c22 - c02 * c02) * r
            inverse[y, x, 4] = (c01 * c02 - c00 * c12) * r
            inverse[y, x, 5] = (c00 * c11 - c01 * c01) * r


@kernel(fastmath=True)
def _add_diagonal(
    image: np.ndarray,
    unknown: np.ndarray,
    active: np.ndarray,
    mean: np.ndarray,
    inverse: np.ndarray,
    out: np.ndarray,
) -> None:
    """Add the diagonal of the matting Laplacian at unknown pixels (Jacobi preconditioner)."""
    h, w, _ = image.shape
    for y in range(h):
        for x in range(w):
            if not unknown[y, x]:
                continue
            s = np.float32(0.0)
            for j in range(max(1, y - 1), min(h - 1, y + 2)):
                for i in range(max(1, x - 1), min(w - 1, x + 2)):
                    if not active[j, i]:
                        continue
                    v = inverse[j, i]
                    d0 = image[y, x, 0] - mean[j, i, 0]
                    d1 = image[y, x, 1] - mean[j, i, 1]
                    d2 = image[y, x, 2] - mean[j, i, 2]
                    q = d0 * (v[0] * d0 + v[1] * d1 + v[2] * d2)
                    q += d1 * (v[1] * d0 + v[3] * d1 + v[4] * d2)
                    q += d2 * (v[2] * d0 + v[4] * d1 + v[5] * d2)
                    s += np.float32(1.0) - _N * (np.float32(1.0) + q)
            out[y, x] += s


@kernel(fastmath=True)
def _fit_lines(
    image: np.ndarray,
    active: np.ndarray,
    mean: np.ndarray,
    inverse: np.ndarray,
    p: np.ndarray,
    line: np.ndarray,
) -> None:
    """Fit ``p ≈ a·colour + b`` in each window; a and b go into ``line`` [H,W,4]."""
    h, w, _ = image.shape
    for y in range(1, h - 1):
        for x in range(1, w - 1):
            if not active[y, x]:
                continue
            s = np.float32(0.0)
            s0 = np.float32(0.0)
            s1 = np.float32(0.0)
            s2 = np.float32(0.0)
            for j in range(y - 1, y + 2):
                for i in range(x - 1, x + 2):
                    v = p[j, i]
                    s += v
                    s0 += v * image[j, i, 0]
                    s1 += v * image[j, i, 1]
                    s2 += v * image[j, i, 2]
            s *= _N
            m0 = mean[y, x, 0]
            m1 = mean[y, x, 1]
            m2 = mean[y, x, 2]
            c0 = _N * s0 - s * m0
            c1 = _N * s1 - s * m1
            c2 = _N * s2 - s * m2
            a0 = inverse[y, x, 0] * c0 + inverse[y, x, 1] * c1 + inverse[y, x, 2] * c2
            a1 = inverse[y, x, 1] * c0 + inverse[y, x, 3] * c1 + inverse[y, x, 4] * c2
            a2 = inverse[y, x, 2] * c0 + inverse[y, x, 4] * c1 + inverse[y, x, 5] * c2
            line[y, x, 0] = a0
            line[y, x, 1] = a1
            line[y, x, 2] = a2
            line[y, x, 3] = s - a0 * m0 - a1 * m1 - a2 * m2


@kernel(fastmath=True)
def _gather_lines(
    image: np.ndarray,
    unknown: np.ndarray,
    active: np.ndarray,
    p: np.ndarray,
    line: np.ndarray,
    out: np.ndarray,
) -> None:
    """``out = L p`` at unknown pixels: the residuals of the windows' lines around each pixel."""
    h, w, _ = image.shape
    for y in range(h):
        for x in range(w):
            if not unknown[y, x]:
                continue
            s = np.float32(0.0)
            for j in range(max(1, y - 1), min(h - 1, y + 2)):
                for i in range(max(1, x - 1), min(w - 1, x + 2)):
                    if active[j, i]:
                        v = line[j, i]
                        s += p[y, x] - v[3] - v[0] * image[y, x, 0]
                        s -= v[1] * image[y, x, 1] + v[2] * image[y, x, 2]
            out[y, x] = s


def solve_matte(
    image: np.ndarray,
    prior: np.ndarray,
    weight: np.ndarray,
    unknown: np.ndarray,
    start: np.ndarray,
    *,
    eps: float = 1e-5,
    iterations: int = 30,
) -> np.ndarray:
    """Find an alpha that follows the local colour lines of the image and stays near a prior.

    Minimises ``αᵀ L α + Σ weight (α − prior)²`` over the unknown pixels by preconditioned conjugate
    gradients, where ``L`` is the closed-form matting Laplacian (Levin et al. 2008) of 3×3 windows.
    ``L`` is never built: each window fits alpha = a·colour + b, and a pixel's row of ``L α`` is
    the residual of those fits, which takes 4 numbers per window instead of a 9×9 block.

    Args:
        image: ``[H, W, 3]`` float32.
        prior: ``[H, W]`` float32 in 0–1.
        weight: ``[H, W]`` float32, trust in the prior (0: none; 1: as much as in one window).
        unknown: ``[H, W]`` bool; other pixels keep ``start``.
        start: ``[H, W]`` float32, the initial alpha.
        eps: variance added to each window; larger values smooth over camera noise.
        iterations: conjugate gradient steps.

    Returns:
        ``[H, W]`` float32, not clipped.
    """
    image = np.ascontiguousarray(image, np.float32)
    alpha = start.astype(np.float32)
    if not unknown.any():
        return alpha
    active = np.zeros(alpha.shape, np.bool_)
    mean = np.zeros((*alpha.shape, 3), np.float32)
    inverse = np.zeros((*alpha.shape, 6), np.float32)
    _window_models(image, unknown, float(eps), active, mean, inverse, np.zeros(3))
    diagonal = np.zeros_like(alpha)
    _add_diagonal(image, unknown, active, mean, inverse, diagonal)
    line = np.zeros((*alpha.shape, 4), np.float32)
    grid, product = alpha.copy(), np.zeros_like(alpha)
    # Vectors hold the unknown pixels only, often a tenth of all.
    places = np.flatnonzero(unknown)
    weight, prior = weight.take(places).astype(np.float32), prior.take(places)
    diagonal = diagonal.take(places) + weight + np.float32(1e-6)

    def multiply(values: np.ndarray) -> np.ndarray:
        grid.put(places, values)
        _fit_lines(image, active, mean, inverse, grid, line)
        _gather_lines(image, unknown, active, grid, line, product)
        return product.take(places) + weight * values

    solution = alpha.take(places)
    residual = weight * prior - multiply(solution)
    grid.fill(0)
    alpha.put(places, solution + _solution(multiply, residual, diagonal, iterations))
    return alpha


def _solution(
    multiply: Callable[[np.ndarray], np.ndarray],
    residual: np.ndarray,
    diagonal: np.ndarray,
    iterations: int,
) -> np.ndarray:
    """``[n]`` solution of a symmetric system by preconditioned conjugate gradients, from zero.

    Args:
        multiply: applies the matrix to ``[n]``.
        residual: ``[n]`` right-hand side; changed.
        diagonal: ``[n]`` of the matrix.
        iterations: steps at most.
    """
    solution = np.zeros_like(residual)
    direction = residual / diagonal
    rho = float(np.vdot(residual, direction))
    for _ in range(iterations):
        if rho < 1e-8:
            break
        step = multiply(direction)
        gain = np.float32(rho / max(float(np.vdot(direction, step)), 1e-12))
        solution += gain * direction
        residual -= gain * step
        scaled = residual / diagonal
        previous, rho = rho, float(np.vdot(residual, scaled))
        direction = scaled + np.float32(rho / previous) * direction
    return solution


@helper(fastmath=True, error_model="python")
def _gather_samples(
    colors: np.ndarray,
    index: np.ndarray,
    offsets: np.ndarray,
    y: int,
    x: int,
    reach: np.float32,
    out: np.ndarray,
) -> None:
    """Collect the nearest known colours and their squared pixel distances in ``out`` [K,4]."""
    h, w = index.shape
    for k in range(len(offsets)):
        j = min(max(y + offsets[k, 0], 0), h - 1)
        i = min(max(x + offsets[k, 1], 0), w - 1)
        sy = index[j, i] // w
        sx = index[j, i] % w
        for c in range(3):
            out[k, c] = colors[sy, sx, c]
        dy = np.float32(sy - y) / reach
        dx = np.float32(sx - x) / reach
        out[k, 3] = dx * dx + dy * dy


@helper(fastmath=True, error_model="python")
def _nearest_color(pixel: np.ndarray, samples: np.ndarray) -> np.float32:
    """Squared distance of a colour to the nearest of the samples."""
    best = np.float32(9.0)
    for k in range(len(samples)):
        d = np.float32(0.0)
        for c in range(3):
            d += (pixel[c] - samples[k, c]) ** 2
        best = min(best, d)
    return best


@kernel(fastmath=True, error_model="python")
def _best_pairs(
    image: np.ndarray,
    unknown: np.ndarray,
    colors: np.ndarray,
    indices: Any,
    offsets: np.ndarray,
    reach: np.float32,
    results: Any,
    scratch: Any,
) -> None:
    """Alpha and trust of each unknown pixel, from its best pair of foreground and background.

    ``indices`` are those of the nearest pixels in front and behind. ``results`` are alpha and
    trust, [H,W] each and zero; ``scratch`` are two arrays [K,4].
    """
    front_index, back_index = indices
    alpha, trust = results
    fore, rear = scratch
    h, w, _ = image.shape
    count = len(offsets)
    for y in range(h):
        for x in range(w):
            if not unknown[y, x]:
                continue
            pixel = image[y, x]
            _gather_samples(colors, front_index, offsets, y, x, reach, fore)
            _gather_samples(colors, back_index, offsets, y, x, reach, rear)
            # A colour found on both sides is uninformative: trust grows with the larger distance.
            told = max(_nearest_color(pixel, fore), _nearest_color(pixel, rear))
            told = np.float32(1.0) - np.exp(told * np.float32(-200.0))
            best = np.float32(1e9)
            for k in range(count):
                for m in range(count):
                    n2 = np.float32(0.0)
                    a = np.float32(0.0)
                    for c in range(3):
                        d = fore[k, c] - rear[m, c]
                        n2 += d * d
                        a += d * (pixel[c] - rear[m, c])
                    a = min(max(a / (n2 + np.float32(1e-4)), np.float32(0.0)), np.float32(1.0))
                    miss = np.float32(0.0)
                    for c in range(3):
                        miss += (pixel[c] - rear[m, c] - a * (fore[k, c] - rear[m, c])) ** 2
                    cost = miss + np.float32(4e-4) * (fore[k, 3] + rear[m, 3])
                    if cost < best:
                        best = cost
                        alpha[y, x] = a
                        fits = np.exp(-miss * np.float32(250.0))
                        trust[y, x] = told * fits * n2 / (n2 + np.float32(0.03))


def nearest_index(mask: np.ndarray) -> np.ndarray:
    """Flat index of the nearest True pixel, ``[H, W]`` int32. The mask must contain one."""
    _, labels = cv2.distanceTransformWithLabels(
        (~mask).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros(labels.max() + 1, np.int32)
    table[labels[mask]] = np.flatnonzero(mask)
    return table[labels]


def sample_alpha(
    image: np.ndarray,
    front: np.ndarray,
    back: np.ndarray,
    reach: float,
    wanted: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate alpha where it is unknown from colours sampled in the foreground and background.

    Args:
        image: ``[H, W, 3]`` float32.
        front: ``[H, W]`` bool, pixels known to be all foreground.
        back: ``[H, W]`` bool, pixels known to be all background.
        reach: pixels within which samples other than the nearest are sought.
        wanted: ``[H, W]`` bool, where the estimate is needed; everywhere by default.

    Returns:
        alpha and trust, ``[H, W]`` float32 each; trust is 0 where colours are uninformative.
    """
    unknown = ~(front | back)
    if wanted is not None:
        unknown &= wanted
    if not front.any() or not back.any() or not unknown.any():
        return front.astype(np.float32), np.zeros(front.shape, np.float32)
    turns = np.arange(6) * (np.pi / 3)
    near = 0.4 * reach * np.stack([np.sin(turns), np.cos(turns)], 1)
    far = reach * np.stack([np.sin(turns + np.pi / 6), np.cos(turns + np.pi / 6)], 1)
    offsets = np.round(np.concatenate([[[0.0, 0.0]], near, far])).astype(np.int32)
    image = np.ascontiguousarray(image, np.float32)
    soft = cv2.GaussianBlur(image, (0, 0), 0.8)  # JPEG noise would count as variety of colour
    indices = nearest_index(front), nearest_index(back)
    alpha, trust = results = np.zeros((2, *front.shape), np.float32)
    scratch = np.empty((2, len(offsets), 4), np.float32)
    _best_pairs(
        *(image, unknown, soft, indices, offsets, np.float32(reach)),
        *(tuple(results), tuple(scratch)),
    )
    return alpha, trust
