"""Depth of the body in a picture, inflated from its matte.

Shoulders and chest bulge towards the camera by as much as they are away from their outline, up to
the depth of half a chest (a screened Poisson equation, as in sketch inflation, levels off where an
unscreened one would make broad bodies round). At the neck, whose depth is known from the head, the
inflated surface is bent to it.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import spsolve

from talkcli.imaging import disc
from talkcli.layers.colors import diffuse
from talkcli.shapes import Float, Float32

#: Half the depth of a chest, and from how far inside the outline it is reached, cm: at 1, 5.5 and
#: 15 cm the surface is 4, 7 and 8.6 cm high, as at a shoulder's round end and on a chest.
_CHEST_CM, _REACH_CM = 9.0, 12.0
#: The outline of shoulders lies this far behind the neck's axis, cm.
_OUTLINE_CM = 0.5
#: Over this length, cm, the surface is bent from the neck's known depth to its own.
_BEND_CM = 9.0
#: Gaps between parts of a body that are narrower are no outline; over this length the outline
#: levels out; and the surface is smoothed by this much, cm.
_SLIT_CM, _RIM_CM, _SMOOTH_CM = 3.0, 0.5, 0.5


def body_relief(
    cover: Float[np.ndarray, "h w"],
    known: Float[np.ndarray, "h w"],
    step_cm: float,
    axis_cm: float,
) -> Float32[np.ndarray, "h w"]:
    """The depth of a body's surface.

    Args:
        cover: 0-1, how much of each cell the body covers; at the grid's border it goes on.
        known: depth in the camera's axes, cm; not a number where it is not known.
        step_cm: distance of neighbouring points of the grid, cm.
        axis_cm: depth of the neck's axis.

    Returns:
        ``[h, w]`` depth, cm; outside, about that of the nearest outline.
    """
    depth = np.float32(axis_cm + _OUTLINE_CM) - _inflated(_closed(cover, step_cm), step_cm)
    given = np.isfinite(known)
    if given.any():
        away = cv2.distanceTransform((~given).astype(np.uint8), cv2.DIST_L2, 5) * step_cm
        error = np.where(given, known - depth, 0).astype(np.float32)
        bend = diffuse(error[..., None], given.astype(np.float32))[..., 0]
        depth += np.where(given, error, bend * np.exp(-np.square(away / _BEND_CM)))
    return cv2.GaussianBlur(depth.astype(np.float32), (0, 0), max(0.8, _SMOOTH_CM / step_cm))


def _closed(cover: Float[np.ndarray, "h w"], step_cm: float) -> Float32[np.ndarray, "h w"]:
    """The cover without slits: an arm beside the chest must not tear it apart."""
    reach = disc(_SLIT_CM / step_cm)
    margin = len(reach)
    around = np.pad(cover.astype(np.float32), margin, mode="edge")
    closed = cv2.morphologyEx(around, cv2.MORPH_CLOSE, reach)
    return np.asarray(closed[margin:-margin, margin:-margin])


def _inflated(cover: Float[np.ndarray, "h w"], step_cm: float) -> Float32[np.ndarray, "h w"]:
    """``[h, w]`` height above the outline, cm."""
    height, width = cover.shape
    numbers = np.arange(cover.size).reshape(cover.shape)
    right = numbers[:, :-1].ravel(), numbers[:, 1:].ravel()
    down = numbers[:-1].ravel(), numbers[1:].ravel()
    first, second = (np.concatenate(pair) for pair in zip(right, down, strict=True))
    shape = (cover.size, cover.size)
    links = csr_matrix((np.ones(len(first)), (first, second)), shape=shape)
    links = links + links.T
    screen = (step_cm / _REACH_CM) ** 2
    # Outside, the level falls to nothing within half a centimetre: softly, so that the outline is
    # as smooth as its coverage and not as coarse as the grid.
    outside = (1 - cover.ravel().astype(np.float64)) * (step_cm / _RIM_CM) ** 2
    degree = np.asarray(links.sum(1)).ravel()
    system = diags(degree + screen + outside) - links
    level = spsolve(system.tocsc(), screen * cover.ravel().astype(np.float64))
    rise = np.clip(level.reshape(height, width), 0, 1)
    return (_CHEST_CM * np.sqrt(rise * (2 - rise))).astype(np.float32)
