"""What of a picture is hair, by its colours above the forehead and those of the face.

A distance from the face's mean colour fails where light makes the face's own colours vary as much
as those of face and hair differ. Two histograms, of what certainly is skin and of what lies above
the forehead, tell the two apart whatever their light; where they are alike, the head is bald.
"""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.engines.portrait.build.front import unlike_skin
from talkcli.engines.portrait.build.geometry import HeadGeometry, picture_axes
from talkcli.engines.portrait.build.images import blur, blur_along, inside_distance
from talkcli.imaging import smoothstep
from talkcli.shapes import Float

#: Hair is sought between these heights above the face's mesh, no further from its axis than this
#: share of its width; skin is this far within its rim and below its top, where hair may begin.
_ABOVE_FH, _MIDDLE, _SKIN_FH, _FOREHEAD_FH = (0.07, 0.3), 0.3, 0.06, 0.2
#: Bins of lightness and of both colour axes of CIELAB, and their width.
_BINS, _WIDTH = (20, 32, 32), 5.0
#: Bins by which histograms are smoothed; a picture's noise and its soft light are as wide.
_SMOOTH = 1.2
#: Above the forehead, hair must be this likely on average, or it is no hair; and it is not known
#: from fewer pixels than this share of a square face height.
_TOLD_APART, _FEWEST = 0.56, 0.01
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
    height, aside = _from_top(geometry)
    low, high = _ABOVE_FH
    top = (height > low) & (height < high) & (aside < _MIDDLE) & outside
    top &= geometry.silhouette_distance > 2
    inner = inside_distance(geometry.on_face) > _SKIN_FH * geometry.face_height
    skin = inner & (height < -_FOREHEAD_FH) & ~geometry.eye_mask() & ~geometry.mouth_mask()
    if top.sum() < _FEWEST * geometry.face_height**2 or not skin.any():
        return unlike_skin(colors, geometry) * outside
    lab = cv2.cvtColor(np.clip(np.asarray(colors, np.float32), 0, 1), cv2.COLOR_RGB2LAB)
    place = ((lab + np.array([0, 80, 80], np.float32)) / np.float32(_WIDTH)).astype(np.int32)
    place = np.clip(place, 0, np.array(_BINS) - 1)
    index = np.ravel_multi_index(tuple(np.moveaxis(place, -1, 0)), _BINS)
    hair, bare = (_histogram(index[seed]) for seed in (top, skin))
    likely = hair / np.maximum(hair + bare, 1e-9)
    likelihood = likely.ravel()[index]
    if likelihood[top].mean() < _TOLD_APART:
        return unlike_skin(colors, geometry) * outside
    share = smoothstep((blur(likelihood, 1.0) - _LIKELY) / (_CERTAIN - _LIKELY))
    return np.asarray(share * outside, np.float32)


def _from_top(geometry: HeadGeometry) -> tuple[np.ndarray, np.ndarray]:
    """``[S, S]`` height above the face's mesh, face heights, and distance from its axis, widths."""
    down, beside = picture_axes(geometry.pose)
    up = -down
    points = geometry.landmarks[:468]
    height = geometry.pixel_x * up[0] + geometry.pixel_y * up[1] - (points @ up).max()
    aside = geometry.pixel_x * beside[0] + geometry.pixel_y * beside[1] - points.mean(0) @ beside
    return height / geometry.face_height, np.abs(aside) / np.ptp(points @ beside)


def _histogram(index: np.ndarray) -> np.ndarray:
    """Smoothed frequencies of bins, adding up to one, with a trace everywhere."""
    counts = np.bincount(index, minlength=int(np.prod(_BINS))).astype(np.float32)
    smooth = blur_along(counts.reshape(_BINS[0], -1), _SMOOTH, axis=0).reshape(_BINS)
    total = np.stack([blur(layer, _SMOOTH) for layer in smooth])
    return np.asarray(total / total.sum() + np.float32(1e-7))
