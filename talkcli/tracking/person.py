"""Who is in a clip: the neutral face behind all its frames, and what its eyes look like open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcli.tracking.alignment import AlignedHeads, align_heads
from talkcli.tracking.expressions import close_lips, expression_basis
from talkcli.tracking.facemodel import FaceModel
from talkcli.tracking.harmonic import HarmonicExtension
from talkcli.tracking.measures import iris_angles, lid_opening, lip_aperture, lip_width

#: Share of a person's frames with the most closed lips that make the neutral face.
NEUTRAL_SHARE = 0.2
_FRONTAL_DEG = 25.0
_OPEN_LIDS = 0.8  # of the usual opening, or the frame is a blink
_USUAL_LIDS = 0.6  # quantile of the opening that counts as usual; blinks lie below
#: Neutral lips further apart than this, in face heights, are closed by force.
_CLOSED_FH = 0.012
_FEWEST = 5


@dataclass(frozen=True)
class Person:
    """Identity of the face in a clip.

    Attributes:
        rigid: ``[478, 3]`` the median face, against which pose is measured, cm.
        neutral: ``[478, 3]`` lips closed, eyes open, brows at rest, head frame, cm.
        basis: ``[52, 478, 3]`` ARKit shapes of this very face, cm at weight 1.
        lids: ``[2]`` usual opening of left and right eye, cm.
        gaze: ``[2]`` iris angles of the neutral frames, degrees.
        residual: usual distance of rigid vertices from ``rigid``, cm.
    """

    rigid: np.ndarray
    neutral: np.ndarray
    basis: np.ndarray
    lids: np.ndarray
    gaze: np.ndarray
    residual: float


def neutral_face(points: np.ndarray, share: float = NEUTRAL_SHARE) -> np.ndarray:
    """Mean of the frames with the smallest lip opening for their width.

    Args:
        points: ``[T, 478, 3]`` head frame.
        share: of the frames.

    Returns:
        ``[478, 3]``.
    """
    closed = lip_aperture(points) / lip_width(points)
    return np.asarray(points[closed <= np.quantile(closed, share)].mean(0))


def align_to_self(points: np.ndarray, template: np.ndarray) -> tuple[AlignedHeads, np.ndarray]:
    """Heads aligned to the person's own median face, and that face.

    A foreign face shape would leak into the pose, so the template only serves to begin with.

    Args:
        points: ``[T, 478, 3]`` finite landmarks as FaceMesh gives them.
        template: ``[478, 3]`` head frame, cm.
    """
    rigid = np.median(align_heads(points, template).points, axis=0)
    return align_heads(points, rigid), rigid


def know_person(points: np.ndarray, model: FaceModel) -> Person:
    """The identity behind some frames of a clip.

    Args:
        points: ``[T, 478, 3]`` finite landmarks as FaceMesh gives them, spread over the clip.
        model: face template.
    """
    heads, rigid = align_to_self(points, model.vertices)
    chosen = heads.points[_neutral_frames(heads)]
    neutral = np.median(chosen, axis=0)
    extend = HarmonicExtension(neutral, model.triangles, model.triangle_labels)
    height = np.linalg.norm(neutral[10] - neutral[152])
    if lip_aperture(neutral) > _CLOSED_FH * height:
        neutral = neutral + close_lips(neutral, extend)
    return Person(
        rigid=rigid,
        neutral=neutral,
        basis=np.asarray(expression_basis(neutral, extend)),
        lids=np.quantile(lid_opening(heads.points), _USUAL_LIDS, axis=0),
        gaze=np.median(iris_angles(chosen), axis=0),
        residual=float(np.median(heads.residuals)),
    )


def _neutral_frames(heads: AlignedHeads) -> np.ndarray:
    """Indices of frontal frames with closed lips and open eyes; those that come nearest."""
    yaws = np.degrees(np.arctan2(heads.rotations[:, 0, 2], heads.rotations[:, 2, 2]))
    opening = lid_opening(heads.points)
    awake = (opening / np.quantile(opening, _USUAL_LIDS, axis=0)).min(1) > _OPEN_LIDS
    usable = np.flatnonzero((np.abs(yaws) < _FRONTAL_DEG) & awake)
    if len(usable) < _FEWEST:
        usable = np.argsort(np.abs(yaws))[: max(_FEWEST, len(yaws) // 5)]
    closed = (lip_aperture(heads.points) / lip_width(heads.points))[usable]
    count = max(_FEWEST, round(NEUTRAL_SHARE * len(usable)))
    return usable[np.argsort(closed)[:count]]
