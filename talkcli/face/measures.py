"""Measurements on a face in the head frame: lips, lids, gaze.

All functions take ``[..., 478, 3]`` in the head frame and return centimetres or degrees.
"""

from __future__ import annotations

import numpy as np

from talkcli.face.topology import CHIN_TIP, EYE_LEFT, EYE_RIGHT, FOREHEAD_TOP, OUTER_CORNERS, Eye
from talkcli.shapes import Float

#: Inner lips above and below the middle third of the mouth.
APERTURE_PAIRS = ((13, 14), (82, 87), (312, 317))
#: Left and right, the order of ARKit's names.
EYES = (EYE_LEFT, EYE_RIGHT)
#: Radius of an eyeball, centimetres; converts the iris's travel across the eye into an angle.
EYEBALL_CM = 1.2


def face_height(points: np.ndarray) -> np.floating:
    """Distance from the top of the forehead to the tip of the chin, in the unit of the points.

    The unit ("face height") of crop sizes, margins and thresholds.

    Args:
        points: ``[478, 3]`` or more columns of one face, in any frame.
    """
    return np.linalg.norm(points[FOREHEAD_TOP] - points[CHIN_TIP])


def lip_aperture(points: Float[np.ndarray, "*frames 478 3"]) -> Float[np.ndarray, "*frames"]:
    """Mean inner lip opening, in the unit of the points."""
    upper, lower = np.array(APERTURE_PAIRS).T
    return np.asarray((points[..., upper, 1] - points[..., lower, 1]).mean(-1))


def lip_width(points: Float[np.ndarray, "*frames 478 3"]) -> Float[np.ndarray, "*frames"]:
    """Distance between the mouth corners along x, in the unit of the points."""
    return np.asarray(points[..., OUTER_CORNERS[1], 0] - points[..., OUTER_CORNERS[0], 0])


def lid_opening(points: Float[np.ndarray, "*frames 478 3"]) -> Float[np.ndarray, "*frames 2"]:
    """``[..., 2]`` distance between the lids at the middle of the left and the right eye."""
    openings = []
    for eye in EYES:
        upper, lower = list(eye.upper[2:5]), list(eye.lower[2:5])
        openings.append((points[..., upper, 1] - points[..., lower, 1]).mean(-1))
    return np.stack(openings, -1)


def iris_angles(points: Float[np.ndarray, "*frames 478 3"]) -> Float[np.ndarray, "*frames 2"]:
    """``[..., 2]`` yaw and pitch of the gaze in degrees, mean of both eyes.

    Only differences are meaningful, since straight ahead differs between faces by a few degrees.
    Yaw is the iris's travel along the line between the eye's corners, pitch its travel across it.
    """
    ways = np.stack([_iris_way(points, eye) for eye in EYES]).mean(0)
    return np.degrees(np.arcsin(np.clip(ways / EYEBALL_CM, -1, 1)))


def _iris_way(points: np.ndarray, eye: Eye) -> np.ndarray:
    outer, inner = points[..., eye.corners[0], :2], points[..., eye.corners[1], :2]
    middle = (outer + inner) / 2
    # The corners run from outer to inner in both eyes; the head frame's x is wanted for both.
    along = inner - outer
    along = along * np.sign(along[..., :1])
    along = along / np.linalg.norm(along, axis=-1, keepdims=True)
    across = np.stack([-along[..., 1], along[..., 0]], -1)
    iris = points[..., [eye.iris_centre, *eye.iris_rim], :2].mean(-2) - middle
    return np.stack([(iris * along).sum(-1), (iris * across).sum(-1)], -1)
