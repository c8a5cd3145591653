"""Who it is: a person's neutral face from landmarks of a few frames, whatever they express."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcli.tracking.expressions import expression_basis
from talkcli.tracking.facefit import bounded_ridge, face_rows
from talkcli.tracking.facemodel import FaceModel
from talkcli.tracking.harmonic import HarmonicExtension
from talkcli.tracking.headfit import DEPTH_SCALE, IMAGE_TO_HEAD, fit_similarity
from talkcli.tracking.topology import RIGID

_ROUNDS = 5
#: Squared error of a landmark, in cm² and summed over the face: how much coefficients cost.
_IDENTITY_RIDGE = 0.3
#: Expression costs more here than in tracking: a resting smile is the person's own.
_EXPRESSION_RIDGE = 4.0
#: What the shapes cannot say of a face is believed half after this many neutral frames.
_TRUST_FRAMES = 1.0
#: Sum of squared weights at which a frame counts half for the neutral face.
_EXPRESSIVE = 0.1


@dataclass(frozen=True)
class Identity:
    """A person.

    Attributes:
        coefficients: ``[40]`` of ``FaceModel.identity``, standard deviations.
        neutral: ``[478, 3]`` neutral face, head frame, centimetres.
        basis: ``[52, 478, 3]`` ARKit shapes of this face.
        weights: ``[T, 52]`` expression of the frames that were given.
    """

    coefficients: np.ndarray
    neutral: np.ndarray
    basis: np.ndarray
    weights: np.ndarray


def fit_identity(points: np.ndarray, model: FaceModel) -> Identity:
    """Neutral face and identity from landmarks of one or more frames.

    Alternates between pose, expression and identity. Frames with little expression decide; what
    they have in common beyond the model's shapes counts the more of them there are.

    Args:
        points: ``[T, 478, 3]`` landmarks as FaceMesh gives them (pixels, z away from the camera),
            T ≥ 1, all finite. Frames within 30° of frontal serve best.
        model: face model.
    """
    upright = np.asarray(points, float) * (1.0, 1.0, DEPTH_SCALE) @ IMAGE_TO_HEAD
    shapes = face_rows(model.identity.astype(float))
    gram = shapes @ shapes.T + _IDENTITY_RIDGE * np.eye(len(shapes))
    neutral = model.vertices.astype(float)
    basis = model.basis.astype(float)
    moved = np.zeros_like(upright)
    for round_ in range(_ROUNDS):
        head = np.stack([_into_head(p, neutral + m) for p, m in zip(upright, moved, strict=True)])
        rows = face_rows(basis)
        weights = bounded_ridge(
            rows @ rows.T, face_rows(head - neutral) @ rows.T, _EXPRESSION_RIDGE
        )
        moved = np.tensordot(weights, basis, 1)
        trust = 1 / (1 + (weights**2).sum(1) / _EXPRESSIVE)
        own = np.tensordot(trust / trust.sum(), head - moved, 1) - model.vertices
        coefficients = np.linalg.solve(gram, shapes @ face_rows(own))
        known = np.tensordot(coefficients, model.identity, 1)
        share = trust.sum() / (trust.sum() + _TRUST_FRAMES)
        neutral = model.vertices + known + share * (own - known)
        if round_ == 0:
            extend = HarmonicExtension(neutral, model.triangles, model.triangle_labels)
        basis = expression_basis(neutral, extend)
    return Identity(coefficients, neutral, basis, weights)


def _into_head(points: np.ndarray, face: np.ndarray) -> np.ndarray:
    rigid = list(RIGID)
    scale, turn, shift = fit_similarity(points[rigid], face[rigid])
    return np.asarray(scale * points @ turn.T + shift)
