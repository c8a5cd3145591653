"""Distances between the landmarks of two faces."""

from __future__ import annotations

import numpy as np

from talkcli.face.measures import face_height
from talkcli.face.pose import fit_similarity
from talkcli.face.topology import RIGID
from talkcli.shapes import Float


def landmark_error(found: Float[np.ndarray, "478 3"], wanted: Float[np.ndarray, "478 3"]) -> float:
    """Mean landmark distance after aligning the rigid ones by a similarity, % of the face height.

    Args:
        found: landmarks in the generated picture, pixels.
        wanted: landmarks in the driving picture, pixels.
    """
    rigid = list(RIGID)
    plane = np.array([1.0, 1.0, 0.0])
    scale, rotation, shift = fit_similarity(wanted[rigid] * plane, found[rigid] * plane)
    aligned = scale * (wanted * plane) @ rotation.T + shift
    height = face_height(found)
    distance = np.linalg.norm((aligned - found)[:468, :2], axis=1)
    return 100.0 * float(distance.mean() / height)
