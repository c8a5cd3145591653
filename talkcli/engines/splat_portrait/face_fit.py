"""The face in the maps: its pose, its size, and its 478 vertices.

Every pixel of the face says which point of the template it shows and how deep it is. A similarity
of all of them is the pose; what is left, smoothed over the template, moves its vertices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcli.face.model import FaceModel
from talkcli.shapes import Float

#: Pixels tell of vertices within about this distance on the template, centimetres: one pixel.
_REACH_CM = 0.36
#: Weight of the mirrored side, and of no change, in pixels.
_MIRRORED, _RIGID = 0.4, 0.05
#: Pixels that surely show the face, and how often the similarity is fitted to those that agree.
_SURE, _ROUNDS, _AGREE_CM = 0.5, 4, 1.0
_BATCH = 120


@dataclass(frozen=True)
class FittedFace:
    """A face in the camera's frame, centimetres.

    Attributes:
        vertices: ``[478, 3]``.
        rotation: ``[3, 3]`` from the template to the camera's axes.
        scale: size of the face in the template's.
        origin: ``[3]`` where the template's origin comes to lie.
    """

    vertices: Float[np.ndarray, "478 3"]
    rotation: Float[np.ndarray, "3 3"]
    scale: float
    origin: Float[np.ndarray, " 3"]


def fit_face(
    points: Float[np.ndarray, "n 3"],
    places: Float[np.ndarray, "n 3"],
    shares: Float[np.ndarray, " n"],
    model: FaceModel,
) -> FittedFace | None:
    """Fit the template to what pixels say.

    Args:
        points: ``[n, 3]`` where they are, camera axes, centimetres.
        places: ``[n, 3]`` which points of the template they show.
        shares: ``[n]`` 0-1, how surely each shows the face.
        model: face template.

    Returns:
        The face; None where fewer pixels than a face has show one.
    """
    sure = shares > _SURE
    if sure.sum() < 50:
        return None
    points, places, shares = (
        values[sure].astype(np.float64) for values in (points, places, shares)
    )
    trust = shares
    for _ in range(_ROUNDS):
        scale, rotation, origin = _weighted_similarity(places, points, trust)
        apart = points - (scale * places @ rotation.T + origin)
        trust = shares / (1 + (apart**2).sum(1) / _AGREE_CM**2)
    local = apart @ rotation / scale
    shift = _spread_over(places, local, shares, model)
    vertices = scale * (model.vertices + shift) @ rotation.T + origin
    return FittedFace(vertices, rotation, float(scale), origin)


def _weighted_similarity(
    source: np.ndarray, target: np.ndarray, weights: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """``target ≈ scale · source @ rotation.T + shift`` (Umeyama 1991, with weights)."""
    share = weights[:, None] / weights.sum()
    centre_s, centre_t = (source * share).sum(0), (target * share).sum(0)
    a, b = source - centre_s, target - centre_t
    u, singular, vt = np.linalg.svd((b * share).T @ a)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ np.diag(signs) @ vt
    scale = float((singular * signs).sum() / (share * a * a).sum())
    return scale, rotation, centre_t - scale * rotation @ centre_s


def _spread_over(
    places: np.ndarray, shift: np.ndarray, shares: np.ndarray, model: FaceModel
) -> Float[np.ndarray, "478 3"]:
    """Shifts of the vertices from those of the pixels near them, else from the mirrored side."""
    count = len(model.vertices)
    total, weight = np.zeros((count, 3)), np.zeros((count, 1))
    for start in range(0, count, _BATCH):
        near = model.vertices[start : start + _BATCH, None] - places[None]
        share = np.exp(-0.5 * (near**2).sum(-1) / _REACH_CM**2) * shares
        total[start : start + _BATCH] = share @ shift
        weight[start : start + _BATCH] = share.sum(1, keepdims=True)
    own = total / (weight + _RIGID)
    other = own[model.symmetry] * (-1, 1, 1)
    known = weight[model.symmetry] / (weight[model.symmetry] + _RIGID)
    prior = _MIRRORED * known
    return np.asarray((total + prior * other) / (weight + _RIGID + prior))
