"""The picture without the head, to show what a turning head uncovers."""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.imaging import EDGE_FADE, disc, smoothstep
from talkcli.layers.colors import diffuse
from talkcli.layers.patches import fill_patches

_RIM = 0.04  # face heights outside the matte that carry the head's light and compression noise
_STRAND_REACH = 0.25  # face heights by which hair may stick out of the matte


def background_plate(
    rgb: np.ndarray,
    alpha: np.ndarray,
    head_weight: np.ndarray,
    face_height_px: float | None = None,
    inside: tuple[int, int, int, int] | None = None,
) -> np.ndarray:
    """Remove the head from the picture and continue the background behind it.

    Torso pixels (weight below 0.1) stay as they are. The neck stays too, but becomes narrower the
    more it turns with the head, and continues a little behind the jaw; so does hair beside the
    neck. Everything else that the head covers, a rim around it and single hairs that stick out are
    filled with pieces of the background.

    Args:
        rgb: ``[H, W, 3]`` float32 0–1, the head's crop.
        alpha: ``[H, W]`` float32 0–1, the person.
        head_weight: ``[H, W]`` float32, 1 on the head, fading to 0 down the neck: how far each
            pixel follows the head.
        face_height_px: distance between face points 10 and 152; by default that of the standard
            crop.
        inside: x0, y0, x1, y1 of the real pixels if the crop is padded beyond the picture; the
            padding is not used as a source and repeats the plate's border.

    Returns:
        ``[H, W, 3]`` float32 0–1.
    """
    h, w = alpha.shape
    fh = face_height_px or h / 2.75
    x0, y0, x1, y1 = inside or (0, 0, w, h)
    picture = np.ascontiguousarray(rgb[y0:y1, x0:x1], np.float32)
    person, weight = alpha[y0:y1, x0:x1], head_weight[y0:y1, x0:x1]

    away = cv2.distanceTransform((person <= 0.02).astype(np.uint8), cv2.DIST_L2, 5) / fh
    rim = away <= _RIM
    strands = _strands(picture, away, fh) & (weight > 0.1)
    still = still_weight(person, weight, fh)
    # The rim's outer half is nearly clean: a transition to the picture there hides the fill's edge.
    still = np.maximum(still, np.where(strands, 0, smoothstep(2 * away / _RIM - 1)))
    rim |= strands
    still = np.maximum(still, 1 - _inwards(person.shape, (x0 == 0, y0 == 0, x1 == w, y1 == h)))
    hole = rim & (weight > 0.1) & (still < 1)
    plate = fill_patches(picture, hole, ~rim)
    neck, reach = _neck_behind_jaw(picture, person, weight, still, fh)
    plate += (neck - plate) * reach[..., None]
    plate += (picture - plate) * np.where(hole, still, 1)[..., None]
    pad = ((y0, h - y1), (x0, w - x1), (0, 0))
    return np.pad(plate.astype(np.float32), pad, mode="edge")


def _inwards(shape: tuple[int, ...], cut: tuple[bool, bool, bool, bool]) -> np.ndarray:
    """0 at sides (left, top, right, bottom) where the crop cuts the picture, 1 further in.

    What extends beyond the crop cannot turn; the compositor fades moving pixels there as well.
    """
    h, w = shape
    x, y = np.arange(w) / (EDGE_FADE * w), np.arange(h) / (EDGE_FADE * h)
    dx = np.minimum(x if cut[0] else 1.0, x[::-1] if cut[2] else 1.0) + np.zeros(w)
    dy = np.minimum(y if cut[1] else 1.0, y[::-1] if cut[3] else 1.0) + np.zeros(h)
    return smoothstep(np.minimum(dx, dy[:, None])).astype(np.float32)


def still_weight(alpha: np.ndarray, head_weight: np.ndarray, fh: float) -> np.ndarray:
    """How much of the person stays in the plate: torso 1, neck 1 except for its sides, head 0.

    The neck's sides move with the head by up to 0.12 face heights at 30°; if they stayed, they
    would show beside the moved ones.

    Args:
        alpha: ``[H, W]`` float32, the person.
        head_weight: ``[H, W]`` float32, see :func:`background_plate`.
        fh: face height in pixels.

    Returns:
        ``[H, W]`` float32 0–1.
    """
    inset = 0.14 * smoothstep((head_weight - 0.05) / 0.65)
    side = np.clip((depth_inside(alpha) / fh - inset) / 0.03 + 1, 0, 1)
    below_jaw = 1 - smoothstep((head_weight - 0.75) / 0.2)
    torso = 1 - smoothstep((head_weight - 0.1) / 0.1)
    return np.maximum(side * below_jaw, torso).astype(np.float32)


def depth_inside(alpha: np.ndarray) -> np.ndarray:
    """Distance to the outline from within, pixels; the picture's border does not count."""
    margin = 1 + max(alpha.shape) // 4
    solid = np.pad((alpha > 0.5).astype(np.uint8), margin, mode="edge")
    depth = cv2.distanceTransform(solid, cv2.DIST_L2, 5)
    return depth[margin:-margin, margin:-margin]


def _neck_behind_jaw(
    picture: np.ndarray, alpha: np.ndarray, weight: np.ndarray, still: np.ndarray, fh: float
) -> tuple[np.ndarray, np.ndarray]:
    """The neck's colour continued upwards, and where it shows (0–1).

    A raised chin uncovers it, and the background must not show through holes between jaw and neck.
    """
    neck = ((still > 0.95) & (weight > 0.3) & (alpha > 0.95)).astype(np.uint8)
    if not neck.any():
        return picture, np.zeros(alpha.shape, np.float32)
    away = cv2.distanceTransform(1 - neck, cv2.DIST_L2, 5) / fh
    inner = smoothstep((depth_inside(alpha) / fh - 0.14) / 0.05)
    reach = inner * (1 - smoothstep((away - 0.12) / 0.1)) * (weight > 0.3)
    return diffuse(picture, neck.astype(np.float32)), reach.astype(np.float32)


def _strands(picture: np.ndarray, away: np.ndarray, fh: float) -> np.ndarray:
    """Hairs, locks and earrings missed by the matte: small, near the head, unlike the background.

    Whatever extends further than hair does is background: letters, edges, foliage.
    """
    zone = (away > 0.5 * _RIM) & (away < _STRAND_REACH + 0.05)
    if not zone.any():
        return zone
    image = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    rough = cv2.absdiff(image, cv2.medianBlur(image, 2 * max(1, round(0.04 * fh)) + 1)).max(-1)
    level = max(5.0, 3.0 * float(np.median(rough[zone])))
    thin = (zone & (rough > level)).astype(np.uint8)
    thin = cv2.morphologyEx(thin, cv2.MORPH_CLOSE, disc(0.01 * fh)) * zone
    # Where much of the surroundings stands out, it is texture, which hides any remnants anyway.
    side = 2 * round(0.2 * fh) + 1
    share, all_of_it = (cv2.blur(m.astype(np.float32), (side, side)) for m in (thin, zone))
    thin[share > 0.4 * all_of_it] = 0
    count, labels = cv2.connectedComponents(thin.astype(np.uint8))
    nearest, farthest = np.full(count, np.inf), np.zeros(count)
    np.minimum.at(nearest, labels[zone], away[zone])
    np.maximum.at(farthest, labels[zone], away[zone])
    for side_pixels in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        farthest[side_pixels] = np.inf  # continues outside the picture
    loose = (nearest < 1.5 * _RIM) & (farthest < _STRAND_REACH)
    loose[0] = False
    return cv2.dilate(loose[labels].astype(np.uint8), disc(0.015 * fh)) > 0
