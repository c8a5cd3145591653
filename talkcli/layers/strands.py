"""Single hairs beside the head that a matte misses, where a plain background shows them."""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.imaging import disc, smoothstep
from talkcli.layers.colors import diffuse
from talkcli.layers.matte import Matte
from talkcli.shapes import Float32

#: Hairs stick out of the matte by up to this length, and stand out from what is around within this
#: width, face heights.
_REACH_FH, _WIDTH_FH = 0.35, 0.04
#: Levels by which hairs differ from a plain background, at least and in units of its usual
#: unrest; where that is more than the second, texture cannot be told from hairs.
_LEAST, _USUAL, _TEXTURED = 5.0, 3.0, 9.0
#: Background and hair must differ by this much (0-1), and hairs by no more than this angle's cosine
#: from the line between the two colours.
_CONTRAST, _ALONG = 0.2, 0.8
#: By so much their own colour may differ from that of the hair beside them (0-1).
_OTHER = 0.3
#: Face heights: half the width of what is no hair, gaps that are closed along one, and how near to
#: the head it must begin.
_THICK_FH, _GAP_FH, _ROOT_FH = 0.009, 0.012, 0.05
#: Where more of the surroundings stands out, it is a pattern.
_CROWD = 0.4


def loose_strands(
    rgb: Float32[np.ndarray, "S S 3"],
    matte: Matte,
    face_height_px: float,
    inside: tuple[int, int, int, int],
) -> Float32[np.ndarray, "S S 4"]:
    """The colour of hairs beside a head, and their coverage.

    Args:
        rgb: ``[S, S, 3]`` float32 0-1, sRGB, the head's crop.
        matte: of the crop; hairs are looked for beside it.
        face_height_px: in pixels of the crop.
        inside: x0, y0, x1, y1 of the real pixels in the crop.

    Returns:
        ``[S, S, 4]`` straight colours, which give the picture's over the background, and coverage,
        0 within the matte.
    """
    fh = face_height_px
    nothing = np.dstack([rgb, np.zeros_like(matte.alpha)]).astype(np.float32)
    away = cv2.distanceTransform((matte.alpha <= 0.02).astype(np.uint8), cv2.DIST_L2, 5) / fh
    real = np.zeros(matte.alpha.shape, bool)
    x0, y0, x1, y1 = inside
    real[y0:y1, x0:x1] = True
    zone = real & (away > 0) & (away < _REACH_FH)
    if not zone.any():
        return nothing
    image = (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
    rough = cv2.absdiff(image, cv2.medianBlur(image, 2 * max(1, round(_WIDTH_FH * fh)) + 1)).max(-1)
    level = max(_LEAST, _USUAL * float(np.median(rough[zone])))
    if level > _TEXTURED:
        return nothing
    plain = (away > 0) & (rough <= 0.6 * level)
    behind = diffuse(np.ascontiguousarray(rgb, np.float32), plain.astype(np.float32))
    change, line = rgb - behind, matte.foreground - behind
    product, length = (change * line).sum(-1), np.linalg.norm(line, axis=-1)
    size = np.linalg.norm(change, axis=-1)
    hair = zone & (length > _CONTRAST) & (product > _ALONG * length * size) & (255 * size > level)
    cover = np.clip(product / np.maximum(length, 1e-3) ** 2, 0, 1)
    hair &= np.linalg.norm(change - cover[..., None] * line, axis=-1) < _OTHER * cover
    side = 2 * round(0.2 * fh) + 1
    share, whole = (cv2.blur(m.astype(np.float32), (side, side)) for m in (hair, zone))
    hair &= (share <= _CROWD * whole) & ~_blobs(hair, fh)
    hair &= _attached(hair, away, fh)
    # Beyond half of the reach, hairs are likelier something else.
    cover = cover * hair * (1 - smoothstep(2 * away / _REACH_FH - 1))
    colors = behind + change / np.maximum(cover, 0.02)[..., None]
    return np.dstack([np.clip(colors, 0, 1), cover]).astype(np.float32)


def _blobs(hair: np.ndarray, fh: float) -> np.ndarray:
    """What is too wide for hairs: lights and marks."""
    thick = cv2.morphologyEx(hair.astype(np.uint8), cv2.MORPH_OPEN, disc(_THICK_FH * fh))
    return np.asarray(cv2.dilate(thick, disc(3 * _THICK_FH * fh)) > 0)


def _attached(hair: np.ndarray, away: np.ndarray, fh: float) -> np.ndarray:
    """What begins beside the head and ends before the limit: letters on the wall do not."""
    joined = cv2.morphologyEx(hair.astype(np.uint8), cv2.MORPH_CLOSE, disc(_GAP_FH * fh))
    count, labels = cv2.connectedComponents(joined)
    nearest, farthest = np.full(count, np.inf), np.zeros(count)
    np.minimum.at(nearest, labels[hair], away[hair])
    np.maximum.at(farthest, labels[hair], away[hair])
    kept = (nearest < _ROOT_FH) & (farthest < 0.95 * _REACH_FH)
    kept[0] = False
    return np.asarray(kept[labels])
