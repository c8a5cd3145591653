"""Small pieces of image arithmetic shared by several packages."""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.shapes import UInt8


def smoothstep(x: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, and a cubic between, with zero slope at both ends."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def disc(radius: float) -> UInt8[np.ndarray, "side side"]:
    """A round structuring element for OpenCV's morphology, with a radius of at least one pixel."""
    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


#: Share of the crop over which hair that extends to its border fades into the still picture.
EDGE_FADE = 0.05


#: Pixels that are computed at a time where more bits are needed than a picture has.
_PIECE_PX = 1 << 20


def over_white(rgba: np.ndarray) -> np.ndarray:
    """Put a picture on white, as on paper: the background of transparency in every output.

    Args:
        rgba: ``[H, W, 4]`` uint8, straight alpha.

    Returns:
        ``[H, W, 3]`` uint8; exactly the colours of the picture if it is opaque.
    """
    alpha = rgba[..., 3:]
    if int(alpha.min(initial=255)) == 255:
        return rgba[..., :3]
    mixed = np.empty_like(rgba[..., :3])
    rows = max(1, _PIECE_PX // max(1, rgba.shape[1]))
    for top in range(0, len(rgba), rows):
        piece = rgba[top : top + rows].astype(np.uint16)  # 255 · 255 + 127 fits
        rgb, coverage = piece[..., :3], piece[..., 3:]
        mixed[top : top + rows] = (rgb * coverage + 255 * (255 - coverage) + 127) // 255
    return mixed
