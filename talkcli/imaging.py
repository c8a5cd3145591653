"""Small pieces of image arithmetic that several packages share."""

from __future__ import annotations

import cv2
import numpy as np


def smoothstep(x: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, cubic between with zero slope at both ends."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def disc(radius: float) -> np.ndarray:
    """Round structuring element of at least one pixel radius for OpenCV's morphology."""
    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


#: Sides of the crop over which hair that leaves it goes over into the still picture.
EDGE_FADE = 0.05
