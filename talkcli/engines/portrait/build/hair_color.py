"""What of a picture is hair, by its colours above the forehead and those of the face.

A distance from the face's mean colour fails where light makes the face's own colours vary as much
as those of face and hair differ. Two histograms, of what certainly is skin and of what lies above
the forehead, tell the two apart whatever their light; where they are alike, the head is bald.
"""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.engines.portrait.build.geometry import HeadGeometry, picture_axes
from talkcli.engines.portrait.build.images import blur, blur_along, inside_distance
from talkcli.engines.portrait.build.rim import unlike_skin
from talkcli.imaging import smoothstep
from talkcli.shapes import Float

#: Hair is sought along the head's outline, as far inside it as this, and above the height of the
#: brows (relative to the top of the face's mesh), off the mesh: above it, a high forehead goes on.
_OUTLINE_FH, _BROWS_FH, _OFF_FH = 0.14, -0.15, 0.04
#: Skin is this far within the mesh's rim and between these heights: hair may begin at its top, and
#: beards are hair, too.
_SKIN_FH, _SKIN_HEIGHTS = 0.06, (-0.7, -0.2)
#: Bins of lightness and of both colour axes of CIELAB, and their width.
_BINS, _WIDTH = (20, 32, 32), 5.0
#: Bins by which histograms are smoothed; a picture's noise and its soft light are as wide.
_SMOOTH = 1.2
#: Above the forehead, hair must be this likely on average, or it is no hair; and it is not known
#: from fewer pixels than this share of a square face height.
_TOLD_APART, _FEWEST = 0.56, 0.01
#: Added to the frequency of each bin, so that rare colours tell little.
_TRACE = 2e-5
#: Likelihoods at which pixels begin to be hair and certainly are.
_LIKELY, _CERTAIN = 0.5, 0.8


def hair_share(
    colors: Float[np.ndarray, "S S 3"], geometry: HeadGeometry
) -> Float[np.ndarray, "S S"]:
    """``[S, S]`` float32 0–1: outside the face, and hair (or what covers it) by its colour.

    Args:
        colors: ``[S, S, 3]`` foreground colours.
        geometry: the measured head.
    """
    outside = ~geometry.on_face
    height, fh = _from_top(geometry), geometry.face_height
    from_outline = geometry.silhouette_distance
    top = (height > _BROWS_FH) & (from_outline > 2) & (from_outline < _OUTLINE_FH * fh)
    top &= geometry.face_distance > _OFF_FH * fh
    inner = inside_distance(geometry.on_face) > _SKIN_FH * fh
    skin = inner & (height > _SKIN_HEIGHTS[0]) & (height < _SKIN_HEIGHTS[1]) & ~geometry.eye_mask()
    if top.sum() < _FEWEST * fh**2 or not skin.any():
        return unlike_skin(colors, geometry) * outside
    lab = cv2.cvtColor(np.clip(np.asarray(colors, np.float32), 0, 1), cv2.COLOR_RGB2LAB)
    place = ((lab + np.array([0, 80, 80], np.float32)) / np.float32(_WIDTH)).astype(np.int32)
    place = np.clip(place, 0, np.array(_BINS) - 1)
    index = np.ravel_multi_index(tuple(np.moveaxis(place, -1, 0)), _BINS)
    hair, bare = (_histogram(index[seed]) for seed in (top, skin))
    # A colour that neither has is hair near the outline, and the light on a forehead near the mesh.
    away = geometry.face_distance / np.maximum(geometry.face_distance + from_outline, 1.0)
    hair = hair.ravel()[index] + np.float32(2 * _TRACE) * away
    likelihood = hair / (hair + bare.ravel()[index] + np.float32(_TRACE))
    if likelihood[top].mean() < _TOLD_APART:
        return unlike_skin(colors, geometry) * outside
    share = smoothstep((blur(likelihood, 1.0) - _LIKELY) / (_CERTAIN - _LIKELY))
    return np.asarray(share * outside, np.float32)


def _from_top(geometry: HeadGeometry) -> np.ndarray:
    """``[S, S]`` height above the face's mesh, face heights."""
    up = -picture_axes(geometry.pose)[0]
    points = geometry.landmarks[:468]
    height = geometry.pixel_x * up[0] + geometry.pixel_y * up[1] - (points @ up).max()
    return np.asarray(height / geometry.face_height)


def _histogram(index: np.ndarray) -> np.ndarray:
    """Smoothed frequencies of bins, adding up to one."""
    counts = np.bincount(index, minlength=int(np.prod(_BINS))).astype(np.float32)
    smooth = blur_along(counts.reshape(_BINS[0], -1), _SMOOTH, axis=0).reshape(_BINS)
    total = np.stack([blur(layer, _SMOOTH) for layer in smooth])
    return np.asarray(total / total.sum())
