"""How near the landmarks of two faces are."""

from __future__ import annotations

import numpy as np

from talkcli.face.pose import fit_similarity
from talkcli.face.topology import CHIN_TIP, FOREHEAD_TOP, RIGID


def landmark_error(found: np.ndarray, wanted: np.ndarray) -> float:
    """Mean distance of landmarks after a similarity of the rigid ones, % of the face height.

    Args:
        found: ``[478, 3]`` pixels, in the generated picture.
        wanted: ``[478, 3]`` pixels, in the driving one.
    """
    rigid = list(RIGID)
    plane = np.array([1.0, 1.0, 0.0])
    scale, rotation, shift = fit_similarity(wanted[rigid] * plane, found[rigid] * plane)
    aligned = scale * (wanted * plane) @ rotation.T + shift
    height = np.linalg.norm(found[FOREHEAD_TOP] - found[CHIN_TIP])
    distance = np.linalg.norm((aligned - found)[:468, :2], axis=1)
    return 100.0 * float(distance.mean() / height)
