"""The rim of the face in the source, where it gets dark or mixes with what is behind it.

A face seen from the front darkens towards its contour, and its last pixels hold hair, beard-dark
shadow or the light of the wall. Turned towards the camera they would be drawn out to a smudge from
ear to chin; the completed face underneath continues the cheek instead.
"""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.engines.portrait.build.geometry import HeadGeometry, picture_axes
from talkcli.engines.portrait.build.images import (
    at,
    blur,
    coloured_like,
    dilate,
    distance_to,
    erode,
    highest,
    highest_color,
    inside_distance,
    lengths,
    nearest,
)
from talkcli.face.topology import OUTER_CORNERS
from talkcli.imaging import smoothstep
from talkcli.shapes import Float

#: The rim's width, and the distance over which the colours inside it are averaged (face heights).
_RIM_FH, _AVERAGE_FH = 0.07, 0.03
#: Change of brightness or colour (natural logarithm) from inside the rim that is usual, and that
#: is certainly another surface or shadow.
_USUAL, _STRANGE = 0.12, 0.35
#: Parts of a rim nearer to such pixels than this are no better (face heights).
_BRIDGED_FH = 0.04
#: Strands reach this far over the face, are off its colour by this (natural logarithm), not
#: nearer to an eye than a brow is, and this far above the mouth's corners (face heights).
_DEEP_FH, _HAIR, _BROW_FH, _BEARD_FH = 0.2, 0.7, 0.17, 0.05
#: Never so well that the closed head would leave a neck out.
_NECK_COSINE = np.float32(0.36)
#: A neck's skin begins softly below the jaw, inside the outline, and around what is no skin on it.
_JAW_FH, _OUTLINE_FH, _FOREIGN_FH = 0.1, 0.06, 0.02
#: Added to colours before taking logarithms.
_BLACK = 0.03


def rim_tint(rgb: Float[np.ndarray, "S S 3"], geometry: HeadGeometry) -> Float[np.ndarray, "S S"]:
    """``[S, S]`` float32 0–1: how far pixels at the face's contour differ from those inside it.

    Args:
        rgb: ``[S, S, 3]`` colours.
        geometry: the measured head.
    """
    from_rim = inside_distance(geometry.on_face) / geometry.face_height
    core = geometry.on_face & (from_rim > _RIM_FH)
    if not core.any():
        return np.zeros(core.shape, np.float32)
    logs = np.log(np.asarray(rgb, np.float32) + np.float32(_BLACK))
    sigma = _AVERAGE_FH * geometry.face_height
    weight = blur(core, sigma)
    inner = blur(logs * core[..., None], sigma) / np.maximum(weight, 1e-3)[..., None]
    wanted = at(inner, nearest(core)[1])
    off = blur(highest_color(np.abs(logs - wanted)), 0.5 * sigma)
    strange = smoothstep((off - _USUAL) / (_STRANGE - _USUAL))
    # An island of trust within the rim would stay as a bridge from cheek to ear.
    strange = blur(highest(strange, int(_BRIDGED_FH * geometry.face_height)), sigma)
    near = 1 - smoothstep((from_rim - 0.6 * _RIM_FH) / (0.4 * _RIM_FH))
    tint = np.maximum(strange * near, _strands(logs, from_rim, geometry))
    return np.asarray(tint * geometry.on_face, np.float32)


def _strands(logs: np.ndarray, from_rim: np.ndarray, geometry: HeadGeometry) -> np.ndarray:
    """``[S, S]`` 0-1: hair that hangs over the face and is joined with its rim.

    Drawn out by a turn it is a smear on the cheek. Beards are left alone, and so are brows.

    Args:
        logs: ``[S, S, 3]`` logarithms of colours.
        from_rim: ``[S, S]`` distance to the rim from inside, face heights.
        geometry: the measured head.
    """
    fh = geometry.face_height
    deep = geometry.on_face & (from_rim > _DEEP_FH)
    if not deep.any():
        return np.zeros(deep.shape, np.float32)
    down = picture_axes(geometry.pose)[0]
    corners = geometry.landmarks[list(OUTER_CORNERS)] @ down
    height = geometry.pixel_x * down[0] + geometry.pixel_y * down[1]
    above = height < corners.mean() - _BEARD_FH * fh
    cheek = np.median(logs[deep & above], 0)
    place = geometry.on_face & (from_rim < _DEEP_FH) & above
    place &= distance_to(geometry.eye_mask()) > _BROW_FH * fh
    unlike = place & (highest_color(np.abs(logs - cheek)) > _HAIR)
    _, labels = cv2.connectedComponents(unlike.astype(np.uint8))
    joined = unlike & np.isin(labels, np.unique(labels[unlike & (from_rim < 0.02)]))
    return np.clip(2 * blur(dilate(joined, max(1, round(0.015 * fh))), 0.02 * fh), 0, 1)


def neck_cosine(
    rgb: Float[np.ndarray, "S S 3"], geometry: HeadGeometry, sure: Float[np.ndarray, "S S"]
) -> Float[np.ndarray, "S S"]:
    """``[S, S]`` float32: the viewing cosine that counts for a bare neck, and 0 elsewhere.

    Its skin is plain and may be stretched; towards the outline and the jaw, that counts less.

    Args:
        rgb: ``[S, S, 3]`` colours.
        geometry: the measured head.
        sure: ``[S, S]`` from 1 on, the other side is certainly the better one.
    """
    fh = geometry.face_height
    skin = coloured_like(blur(rgb, 1.5), np.median(rgb[geometry.on_face], 0))
    plain = dilate(erode(skin, int(_FOREIGN_FH * fh)), int(0.5 * _FOREIGN_FH * fh))
    share = plain * smoothstep(geometry.below_jaw / _JAW_FH) * ~geometry.on_face
    share *= smoothstep((geometry.silhouette_distance - 2) / (_OUTLINE_FH * fh))
    return _NECK_COSINE * blur(share, 0.5 * _FOREIGN_FH * fh) * (1 - smoothstep(sure))


def unlike_skin(
    colors: Float[np.ndarray, "S S 3"], geometry: HeadGeometry
) -> Float[np.ndarray, "S S"]:
    """``[S, S]`` 0–1: colours far from those of the face, as of hair, unless it is blond."""
    skin = colors[geometry.on_face & ~geometry.eye_mask() & ~geometry.mouth_mask()]
    centre, spread = np.median(skin, 0), skin.std(0) + 0.03
    distance = lengths((colors - centre) * (1 / (np.sqrt(np.float32(3)) * spread)))
    return smoothstep((distance - 0.8) / 0.8)
