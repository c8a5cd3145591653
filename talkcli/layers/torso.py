"""The torso, cut out of the whole picture, and the background behind its rim."""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.face.measures import face_height
from talkcli.imaging import smoothstep
from talkcli.layers.matte import person_alpha
from talkcli.layers.patches import fill_patches
from talkcli.layers.plate import depth_inside, still_weight

_LARGEST_PX = 1024  # longest side at which the whole picture is matted; edges are soft anyway
#: Face heights outside the matte that carry the torso's light, and by which it may move inwards.
_RIM, _DEPTH = 0.03, 0.24


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


def behind_torso(
    picture: np.ndarray,
    torso: np.ndarray,
    plate: np.ndarray,
    crop: tuple[float, float, float],
    face_height_px: float,
) -> np.ndarray:
    """Continue the background behind the rim of the torso, which uncovers it when it moves.

    Args:
        picture: ``[H, W, 3]`` uint8.
        torso: ``[H, W]`` uint8, from :func:`torso_matte`.
        plate: ``[S, S, 3]`` float32, the crop without the head, whose rim the torso continues.
        crop: x0, y0, side of the crop in pixels of the picture.
        face_height_px: in pixels of the picture.

    Returns:
        ``[H, W, 4]`` uint8, straight alpha: how far each pixel of the picture is replaced.
    """
    still = picture.astype(np.float32) / 255
    x0, y0, side = (round(value) for value in crop)
    place = np.s_[max(0, y0) : y0 + side, max(0, x0) : x0 + side]
    shrink = cv2.INTER_AREA if side < len(plate) else cv2.INTER_CUBIC
    whole = cv2.resize(plate.astype(np.float32), (side, side), interpolation=shrink)
    part = still[place]
    top, left = max(0, -y0), max(0, -x0)
    part[:] = whole[top : top + part.shape[0], left : left + part.shape[1]]
    away = cv2.distanceTransform((torso <= 5).astype(np.uint8), cv2.DIST_L2, 5) / face_height_px
    rim = away <= _RIM
    hole = rim & (depth_inside(torso / np.float32(255)) <= _DEPTH * face_height_px)
    if not hole.any():
        return np.zeros((*torso.shape, 4), np.uint8)
    filled = fill_patches(still, hole, ~rim)
    share = hole * smoothstep(2 - 2 * away / _RIM)
    return (np.clip(np.dstack([filled, share]), 0, 1) * 255 + 0.5).astype(np.uint8)
