"""How near two pictures are."""

from __future__ import annotations

import numpy as np


def psnr(picture: np.ndarray, wanted: np.ndarray, mask: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB inside a mask.

    Args:
        picture: ``[H, W, 3]``, 0–255.
        wanted: likewise.
        mask: ``[H, W]`` bool.
    """
    error = (picture.astype(float) - wanted.astype(float))[mask]
    return float(-10.0 * np.log10(max((error**2).mean() / 255.0**2, 1e-12)))
