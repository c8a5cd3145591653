"""Lips without the teeth that show between them.

Landmarks of open lips are a pixel or two off, and pixels at the rim mix lip and tooth. Left on the
lips they would be a light line between closed ones.
"""

from __future__ import annotations

import numpy as np

from talkcli.engines.portrait.build.images import at, blur, distance_to, nearest
from talkcli.imaging import smoothstep
from talkcli.shapes import Bool, Float, Integer

#: Face heights from the opening within which lips may show teeth, and up to which they lend their
#: colour to what is nearer.
_RIM_FH, _LIP_FH = 0.022, 0.05
#: Shares of the way from the lip's colour to the teeth's at which a pixel begins to be a mixture,
#: and from which it is all lip instead.
_MIXED, _TOOTH = 0.08, 0.3
#: Fewer pixels than this of either tell nothing.
_LEAST_PX = 12


def lips_without_teeth(
    colors: Float[np.ndarray, "S S 3"],
    *,
    teeth: Bool[np.ndarray, "S S"],
    mouth: Bool[np.ndarray, "S S"],
    lip_side: Integer[np.ndarray, "S S"],
    on_face: Bool[np.ndarray, "S S"],
    face_height: float,
) -> Float[np.ndarray, "S S 3"]:
    """Give the rim of open lips the colour of the lips, and continue it over the opening.

    Args:
        colors: ``[S, S, 3]`` colours of the person.
        teeth: ``[S, S]`` pixels of teeth that make a row; there may be none.
        mouth: ``[S, S]`` the opening, by the landmarks.
        lip_side: ``[S, S]`` 0 beside the lips.
        on_face: ``[S, S]``.
        face_height: in pixels.

    Returns:
        ``[S, S, 3]``; the colours themselves where the source shows no teeth.
    """
    away = distance_to(mouth) / np.float32(face_height)
    lips = on_face & ~mouth & (away <= _LIP_FH)
    rim = lips & (away <= _RIM_FH)
    # Teeth that fill no row are left on the dark mouth, but may be on the lips as well.
    bright = teeth if teeth.any() else mouth
    lenders = lips & ~rim & (lip_side != 0)
    if min(bright.sum(), lenders.sum()) < _LEAST_PX:
        return colors
    tooth = np.percentile(colors[bright], 70, axis=0)
    lip = _around(colors, lenders, 0.4 * _RIM_FH * face_height)
    way = tooth - lip
    length = np.maximum((way**2).sum(-1), 1e-3)
    share = ((colors - lip) * way).sum(-1) / length
    # Where lips are as bright as the teeth, nothing tells them apart.
    share = smoothstep((share - _MIXED) / (_TOOTH - _MIXED)) * (way.mean(-1) > 0.04)
    share = np.where(rim, share, mouth).astype(np.float32)[..., None]
    return np.asarray(colors + share * (lip - colors), np.float32)


def _around(colors: np.ndarray, known: np.ndarray, sigma: float) -> np.ndarray:
    """``[S, S, 3]`` smooth colours of known pixels, and of the nearest of them elsewhere."""
    weight = known.astype(np.float32)
    smooth = blur(colors * weight[..., None], sigma)
    smooth = smooth / np.maximum(blur(weight, sigma), 1e-3)[..., None]
    return at(smooth, nearest(known)[1])
