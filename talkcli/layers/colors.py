"""Foreground and background colours at soft pixels, and their smooth continuation."""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.kernels.jit import kernel


@kernel(fastmath=True)
def _relax_layers(
    image: np.ndarray,
    alpha: np.ndarray,
    front: np.ndarray,
    back: np.ndarray,
    new_front: np.ndarray,
    new_back: np.ndarray,
    f: np.ndarray,
    g: np.ndarray,
) -> None:
    """One Jacobi step of the two-layer colour model; see :func:`split_layers`.

    ``f`` and ``g`` are ``[3]`` scratch.
    """
    h, w, _ = image.shape
    for y in range(h):
        for x in range(w):
            a = alpha[y, x]
            b = np.float32(1.0) - a
            total = np.float32(0.0)
            for c in range(3):
                f[c] = a * image[y, x, c]
                g[c] = b * image[y, x, c]
            for k in range(4):
                j = min(max(y + (k == 0) - (k == 1), 0), h - 1)
                i = min(max(x + (k == 2) - (k == 3), 0), w - 1)
                # 1e-5 and 0.1 are the paper's regularisation and gradient weight.
                s = np.float32(1e-5) + np.float32(0.1) * abs(alpha[j, i] - a)
                total += s
                for c in range(3):
                    f[c] += s * front[j, i, c]
                    g[c] += s * back[j, i, c]
            m00 = a * a + total
            m01 = a * b
            m11 = b * b + total
            r = np.float32(1.0) / (m00 * m11 - m01 * m01)
            for c in range(3):
                u = (m11 * f[c] - m01 * g[c]) * r
                v = (m00 * g[c] - m01 * f[c]) * r
                new_front[y, x, c] = min(max(u, np.float32(0.0)), np.float32(1.0))
                new_back[y, x, c] = min(max(v, np.float32(0.0)), np.float32(1.0))


def split_layers(image: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Separate the foreground and background colours that mix at soft pixels.

    Coarse-to-fine relaxation of ``|alpha F + (1 - alpha) B - image|²`` plus a smoothness of F and B
    that grows where alpha changes (Germer et al. 2020, fast multi-level foreground estimation).

    Args:
        image: ``[H, W, 3]`` float32.
        alpha: ``[H, W]`` float32 in 0–1.

    Returns:
        foreground and background, ``[H, W, 3]`` float32 each, defined everywhere.
    """
    image = np.ascontiguousarray(image, np.float32)
    alpha = np.ascontiguousarray(alpha, np.float32)
    h, w = alpha.shape
    scratch = np.empty(3, np.float32), np.empty(3, np.float32)
    front = np.full((1, 1, 3), image.mean((0, 1)), np.float32)
    back = front
    for level in range(int(np.ceil(np.log2(max(h, w)))), -1, -1):
        size = (max(1, round(w / 2**level)), max(1, round(h / 2**level)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if level else image
        matte = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA) if level else alpha
        small, matte = small.reshape(size[1], size[0], 3), matte.reshape(size[1], size[0])
        front = cv2.resize(front, size, interpolation=cv2.INTER_NEAREST).reshape(small.shape)
        back = cv2.resize(back, size, interpolation=cv2.INTER_NEAREST).reshape(small.shape)
        spare_front, spare_back = np.empty_like(front), np.empty_like(back)
        # Small levels fill the large gaps; a few more steps then follow the finer alpha.
        for _ in range(12 if max(size) <= 32 else 3):
            _relax_layers(small, matte, front, back, spare_front, spare_back, *scratch)
            front, spare_front = spare_front, front
            back, spare_back = spare_back, back
    return front, back


def diffuse(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Continue the known pixels smoothly over the others (push-pull pyramid).

    Args:
        image: ``[H, W, C]`` float32.
        known: ``[H, W]`` float32 0–1, how far each pixel is trusted.

    Returns:
        ``[H, W, C]`` float32; the picture itself where known is 1.
    """
    sums, trust = [image * known[..., None]], [known.astype(np.float32)]
    while min(trust[-1].shape) > 2:
        trust.append(cv2.pyrDown(trust[-1]))
        # OpenCV drops the axis of a single channel.
        sums.append(cv2.pyrDown(sums[-1]).reshape(*trust[-1].shape, -1))
    result = sums[-1] / np.maximum(trust[-1], 1e-6)[..., None]
    for total, weight in zip(sums[-2::-1], trust[-2::-1], strict=True):
        size = (weight.shape[1], weight.shape[0])
        coarse = cv2.resize(result, size, interpolation=cv2.INTER_LINEAR).reshape(total.shape)
        own = total / np.maximum(weight, 1e-6)[..., None]
        result = coarse + np.clip(weight, 0, 1)[..., None] * (own - coarse)
    return result
