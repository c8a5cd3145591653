"""Parts of a picture that a figure is about: of the face and the head, from the real landmarks."""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.face.topology import CHIN_TIP, EYE_LEFT, EYE_RIGHT, FACE_OVAL, FOREHEAD_TOP, LIPS
from talkcli.imaging import disc
from talkcli.shapes import Bool, Float

#: The head is the outline of the face, grown about its centre by this factor, so that it holds the
#: ears, and stretched upwards by this share of the face height, so that it holds the hair.
_HEAD_GROWN, _HAIR = 1.3, 0.35
#: The mouth reaches this far beyond the lips, face heights.
_MOUTH_REACH = 0.05


def face_regions(
    points: Float[np.ndarray, "478 d"], height: int, width: int
) -> dict[str, Bool[np.ndarray, "H W"]]:
    """Masks of ``face`` (inside the face oval) and ``head`` (face, ears and hair).

    And of parts of the face: ``mouth``, the lips and a margin, and ``cheeks``, what lies below the
    eyes without the mouth.

    Args:
        points: ``[478, 2]`` landmarks, pixels, or with a depth, which is not used.
        height: of the picture.
        width: of the picture.
    """
    oval = points[list(FACE_OVAL), :2]
    centre = oval.mean(0)
    up = points[FOREHEAD_TOP, :2] - points[CHIN_TIP, :2]
    grown = centre + _HEAD_GROWN * (oval - centre)
    above = np.concatenate([grown, grown[(grown - centre) @ up > 0] + _HAIR * up])
    face = _hull(oval, height, width)
    mouth = _around(_hull(points[list(LIPS), :2], height, width), float(np.linalg.norm(up)))
    eyes = points[[*EYE_LEFT.lower_ring, *EYE_RIGHT.lower_ring], 1].max()
    below = np.arange(height)[:, None] > eyes
    return {
        "face": face,
        "head": _hull(above, height, width),
        "mouth": mouth,
        "cheeks": face & below & ~mouth,
    }


def _around(mask: np.ndarray, face_height: float) -> np.ndarray:
    near = disc(_MOUTH_REACH * min(face_height, max(mask.shape)))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), near) > 0)


def _hull(points: np.ndarray, height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    # OpenCV counts from the centres of pixels.
    corners = np.round(points - 0.5).astype(np.int32)
    cv2.fillConvexPoly(mask, cv2.convexHull(corners), 1)
    return mask.astype(bool)
