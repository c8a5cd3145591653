"""How neutral faces differ: principal components of measured faces and of ICT's identities."""

from __future__ import annotations

import numpy as np

from talkcli.face.pose import fit_similarity
from talkcli.face.topology import EYE_LEFT, EYE_RIGHT, RIGID
from talkcli.train.face.ict import IctShapes
from talkcli.train.face.shapes import mirrored

SHAPES = 40
_DRAWN = 600
#: Share of the variance from ICT's faces. The rest comes from measured faces, which show what the
#: landmark network makes of people, but of few of them.
ICT_SHARE = 0.3


def identity_shapes(
    ict: IctShapes, measured: np.ndarray, mean: np.ndarray, symmetry: np.ndarray
) -> np.ndarray:
    """``[40, 478, 3]`` displacements in cm at one standard deviation, largest first.

    Args:
        ict: the ICT model on our topology.
        measured: ``[n, 478, 3]`` neutral faces of n people, head frame.
        mean: ``[478, 3]`` mean face.
        symmetry: ``[478]`` mirror twins of the vertices.
    """
    parts = []
    for faces, share in ((drawn_faces(ict, mean), ICT_SHARE), (measured, 1 - ICT_SHARE)):
        aligned = np.stack([_onto(face, mean) for face in faces])
        apart = aligned - aligned.mean(0)
        apart = np.concatenate([apart, mirrored(apart, symmetry)])
        variance = (apart**2).sum() / len(apart)
        parts.append(apart * np.sqrt(share / variance / len(apart)))
    total = variance  # of the measured faces
    _, sizes, modes = np.linalg.svd(
        np.concatenate(parts).reshape(-1, mean.size) * np.sqrt(total), full_matrices=False
    )
    return np.asarray((sizes[:SHAPES, None] * modes[:SHAPES]).reshape(SHAPES, *mean.shape))


def drawn_faces(ict: IctShapes, mean: np.ndarray) -> np.ndarray:
    """``[600, 478, 3]`` random people from the ICT model; irises move with their lids."""
    rng = np.random.default_rng(0)
    coefficients = rng.normal(size=(_DRAWN, len(ict.identity)))
    shift = np.tensordot(coefficients, ict.identity, 1)
    faces = np.tile(mean, (_DRAWN, 1, 1))
    faces[:, :468] += shift
    for eye in (EYE_LEFT, EYE_RIGHT):
        rim = shift[:, list(eye.rim)].mean(1, keepdims=True)
        faces[:, [eye.iris_centre, *eye.iris_rim]] += rim
    return faces


def _onto(face: np.ndarray, mean: np.ndarray) -> np.ndarray:
    rigid = list(RIGID)
    scale, turn, shift = fit_similarity(face[rigid], mean[rigid])
    return np.asarray(scale * face @ turn.T + shift)
