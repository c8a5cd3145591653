"""Parts of a picture that a figure is about: the face and the head, from the real landmarks."""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.face.topology import CHIN_TIP, FACE_OVAL, FOREHEAD_TOP
from talkcli.shapes import Bool, Float

#: The head is the outline of the face, grown about its centre by this factor, so that it holds the
#: ears, and stretched upwards by this share of the face height, so that it holds the hair.
_HEAD_GROWN, _HAIR = 1.3, 0.35


def face_regions(
    points: Float[np.ndarray, "478 3"], height: int, width: int
) -> dict[str, Bool[np.ndarray, "H W"]]:
    """Masks of ``face`` (inside the face oval) and ``head`` (face, ears and hair).

    Args:
        points: landmarks, pixels.
        height: of the picture.
        width: of the picture.
    """
    oval = points[list(FACE_OVAL), :2]
    centre = oval.mean(0)
    up = points[FOREHEAD_TOP, :2] - points[CHIN_TIP, :2]
    grown = centre + _HEAD_GROWN * (oval - centre)
    above = np.concatenate([grown, grown[(grown - centre) @ up > 0] + _HAIR * up])
    return {"face": _hull(oval, height, width), "head": _hull(above, height, width)}


def _hull(points: np.ndarray, height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    # OpenCV counts from the centres of pixels.
    corners = np.round(points - 0.5).astype(np.int32)
    cv2.fillConvexPoly(mask, cv2.convexHull(corners), 1)
    return mask.astype(bool)
