"""Identifies a person: the neutral face from landmarks of a few frames with any expression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcli.face.basis import expression_basis
from talkcli.face.harmonic import HarmonicExtension
from talkcli.face.model import FaceModel
from talkcli.face.pose import DEPTH_SCALE, IMAGE_TO_HEAD, fit_similarity
from talkcli.face.solve import bounded_ridge, face_rows
from talkcli.face.topology import RIGID
from talkcli.shapes import Float
from talkcli.types import ARKIT_NAMES

_ROUNDS = 5
#: Cost of squared coefficients and weights, in cm² summed over the weighted rows of the face.
#: Expression costs so much that only large motion counts as one: a resting smile belongs to the
#: person. Common expressions cost less. Over 14 people, one frame of speech gives the neutral lips
#: to 1.9 mm, six frames to 1.7 mm (the landmarks themselves: 2.7; the mean of six: 2.1).
_IDENTITY_RIDGE = 1.0
_EXPRESSION_RIDGE, _COMMON_RIDGE = 200.0, 30.0
_COMMON = ("jawOpen", "mouthPucker", "mouthFunnel", "mouthSmile", "eyeBlink")
#: Number of neutral frames after which what the shapes cannot explain of a face is trusted by half.
_TRUST_FRAMES = 0.3
#: Sum of squared weights at which a frame counts half towards the neutral face.
_EXPRESSIVE = 0.1


@dataclass(frozen=True)
class Identity:
    """The face of a person.

    Attributes:
        neutral: ``[478, 3]`` neutral face, head frame, centimetres.
        basis: ``[52, 478, 3]`` ARKit shapes of this face.
        weights: ``[T, 52]`` expressions of the given frames.
    """

    neutral: Float[np.ndarray, "478 3"]
    basis: Float[np.ndarray, "52 478 3"]
    weights: Float[np.ndarray, "T 52"]


def fit_identity(points: Float[np.ndarray, "T 478 3"], model: FaceModel) -> Identity:
    """Estimate a person's face from landmarks of one or more frames.

    Alternates between pose, expression and identity. Frames with little expression dominate; the
    more of them there are, the more their common deviation from the model's shapes counts.

    Args:
        points: ``[T, 478, 3]`` landmarks as FaceMesh gives them (pixels, z away from the camera),
            T ≥ 1, all finite. Frames within 30° of frontal work best.
        model: face model.
    """
    upright = np.asarray(points, float) * (1.0, 1.0, DEPTH_SCALE) @ IMAGE_TO_HEAD
    shapes = face_rows(model.identity.astype(float))
    gram = shapes @ shapes.T + _IDENTITY_RIDGE * np.eye(len(shapes))
    common = [name.startswith(_COMMON) for name in ARKIT_NAMES]
    ridge = np.where(common, _COMMON_RIDGE, _EXPRESSION_RIDGE)
    neutral = model.vertices.astype(float)
    basis = model.basis.astype(float)
    moved = np.zeros_like(upright)
    for round_ in range(_ROUNDS):
        head = np.stack([_into_head(p, neutral + m) for p, m in zip(upright, moved, strict=True)])
        rows = face_rows(basis)
        weights = bounded_ridge(rows @ rows.T, face_rows(head - neutral) @ rows.T, ridge)
        moved = np.tensordot(weights, basis, 1)
        trust = 1 / (1 + (weights**2).sum(1) / _EXPRESSIVE)
        own = np.tensordot(trust / trust.sum(), head - moved, 1) - model.vertices
        coefficients = np.linalg.solve(gram, shapes @ face_rows(own))
        known = np.tensordot(coefficients, model.identity, 1)
        share = trust.sum() / (trust.sum() + _TRUST_FRAMES)
        neutral = model.vertices + known + share * (own - known)
        if round_ == 0:
            # The shapes of this face; later rounds hardly change them.
            basis = _own_basis(neutral, model)
    return Identity(neutral, _own_basis(neutral, model), weights)


def _own_basis(neutral: np.ndarray, model: FaceModel) -> np.ndarray:
    extend = HarmonicExtension(neutral, model.triangles, model.triangle_labels)
    return np.asarray(expression_basis(neutral, extend))


def _into_head(points: np.ndarray, face: np.ndarray) -> np.ndarray:
    rigid = list(RIGID)
    scale, turn, shift = fit_similarity(points[rigid], face[rigid])
    return np.asarray(scale * points @ turn.T + shift)
