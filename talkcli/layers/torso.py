"""The part of a person that does not move, cut out of the whole picture for other backgrounds."""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.face.measures import face_height
from talkcli.layers.matte import person_alpha
from talkcli.layers.plate import still_weight

_LARGEST_PX = 1024  # longest side at which the whole picture is matted; edges are soft anyway


def torso_matte(
    picture: np.ndarray,
    points: np.ndarray,
    crop: tuple[float, float, float],
    crop_alpha: np.ndarray,
    head_weight: np.ndarray,
) -> np.ndarray:
    """Compute the alpha of torso and neck over the whole picture, without the head.

    Args:
        picture: ``[H, W, 4]`` uint8 RGBA, straight alpha.
        points: ``[478, 3]`` face points, pixels of the picture.
        crop: x0, y0, side of the head's square crop in pixels of the picture; may extend beyond it.
        crop_alpha: ``[S, S]`` float32, the person in that crop, sharper than computed here.
        head_weight: ``[S, S]`` float32, how far the crop's pixels follow the head.

    Returns:
        ``[H, W]`` uint8, 255 where the person stays.

    Raises:
        MissingDependencyError: MediaPipe cannot be imported.
    """
    h, w = picture.shape[:2]
    x0, y0, side = crop
    pixels = crop_alpha.shape[0]
    # Maps pixel centres of the picture to those of the crop.
    ratio = pixels / side
    place = np.array(
        [[ratio, 0, (0.5 - x0) * ratio - 0.5], [0, ratio, (0.5 - y0) * ratio - 0.5]], np.float32
    )

    def spread(values: np.ndarray, outside: float) -> np.ndarray:
        return cv2.warpAffine(
            values.astype(np.float32), place, (w, h), borderValue=outside,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )  # fmt: skip

    # The weight of the crop's own matte fades over its outer tenth.
    ramp = np.clip(np.minimum(np.arange(pixels), np.arange(pixels)[::-1]) / (0.1 * pixels), 0, 1)
    blend = spread(np.minimum(ramp, ramp[:, None]), 0.0)
    scale = min(1.0, _LARGEST_PX / max(h, w))
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    sharp = cv2.resize(blend, size, interpolation=cv2.INTER_AREA) < 0.999
    fh = float(face_height(points))
    alpha = person_alpha(small[..., :3], points * scale, fh * scale, small[..., 3], sharp)
    alpha = cv2.resize(alpha, (w, h), interpolation=cv2.INTER_LINEAR)
    alpha = alpha + (spread(crop_alpha, 0.0) - alpha) * blend
    # Beyond the crop nothing follows the head; above its lower edge, there is nothing but the head.
    alpha *= spread(still_weight(crop_alpha, head_weight, fh * ratio), 1.0)
    return (np.clip(alpha, 0, 1) * 255 + 0.5).astype(np.uint8)
