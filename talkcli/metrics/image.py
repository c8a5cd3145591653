"""Differences between pictures."""

from __future__ import annotations

import numpy as np

from talkcli.shapes import Bool, Real


def psnr(
    picture: Real[np.ndarray, "h w 3"],
    wanted: Real[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
) -> float:
    """Peak signal-to-noise ratio in dB inside a mask.

    Args:
        picture: 0–255.
        wanted: the reference, 0–255.
        mask: which pixels count.
    """
    error = (picture.astype(float) - wanted.astype(float))[mask]
    return float(-10.0 * np.log10(max((error**2).mean() / 255.0**2, 1e-12)))
