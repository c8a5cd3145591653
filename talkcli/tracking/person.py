"""The person in a clip: the neutral face behind all its frames, and the usual eye opening."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcli.face.alignment import PICTURE_DEPTH, AlignedHeads, align_heads
from talkcli.face.basis import close_lips, expression_basis
from talkcli.face.harmonic import HarmonicExtension
from talkcli.face.measures import face_height, iris_angles, lid_opening, lip_aperture, lip_width
from talkcli.face.model import FaceModel
from talkcli.face.topology import (
    BROW_LEFT,
    BROW_RIGHT,
    CHIN,
    EYE_LEFT,
    EYE_RIGHT,
    LIPS,
)

#: The neutral face is made from this share of the frames, those with the most closed lips.
NEUTRAL_SHARE = 0.2
_FRONTAL_DEG = 25.0
_OPEN_LIDS = 0.8  # of the usual opening; below it, the frame is a blink
_USUAL_LIDS = 0.6  # quantile of the opening that counts as usual; blinks are below it
#: Neutral lips further apart than this (face heights) are brought together.
_CLOSED_FH = 0.012
_FEWEST = 5
#: Lips closer than this share of their width are closed; FaceMesh sees these at -0.01 to 0.015.
_CLOSED_RATIO = 0.02
_MIDDLE_SAY = 0.3
_MOVING = [*LIPS, *CHIN, *BROW_LEFT, *BROW_RIGHT, *EYE_LEFT.rim, *EYE_RIGHT.rim]


@dataclass(frozen=True)
class Person:
    """Identity of the face in a clip.

    Attributes:
        rigid: ``[478, 3]`` the median face, relative to which the pose is measured, cm.
        neutral: ``[478, 3]`` lips closed, eyes open, brows at rest, head frame, cm.
        basis: ``[52, 478, 3]`` ARKit shapes adapted to this face, cm at weight 1.
        lids: ``[2]`` usual opening of the left and the right eye, cm.
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
    """Average the frames with the smallest lip opening relative to lip width.

    Args:
        points: ``[T, 478, 3]`` head frame.
        share: share of the frames to use.

    Returns:
        ``[478, 3]``.
    """
    closed = lip_aperture(points) / lip_width(points)
    return np.asarray(points[closed <= np.quantile(closed, share)].mean(0))


def align_to_self(points: np.ndarray, template: np.ndarray) -> tuple[AlignedHeads, np.ndarray]:
    """Align heads to the person's own median face; returns both.

    The shape of another face would affect the pose, so the template is only the initial guess.

    Args:
        points: ``[T, 478, 3]`` finite landmarks as FaceMesh gives them.
        template: ``[478, 3]`` head frame, cm.
    """
    rigid = np.median(align_heads(points, template).points, axis=0)
    return align_heads(points, rigid), rigid


def estimate_identity(points: np.ndarray, model: FaceModel) -> Person:
    """Estimate the person from some frames of a clip.

    Args:
        points: ``[T, 478, 3]`` finite landmarks as FaceMesh gives them, spread over the clip.
        model: face template.
    """
    usual, rigid = align_to_self(points, model.vertices)
    heads = align_heads(points, rigid, PICTURE_DEPTH)
    chosen = heads.points[_neutral_frames(heads)]
    neutral = np.median(chosen, axis=0)
    extend = HarmonicExtension(neutral, model.triangles, model.triangle_labels)
    height = face_height(neutral)
    if lip_aperture(neutral) > _CLOSED_FH * height:
        neutral = neutral + close_lips(neutral, extend)
    return Person(
        rigid=rigid,
        neutral=neutral,
        basis=np.asarray(expression_basis(neutral, extend)),
        lids=np.quantile(lid_opening(heads.points), _USUAL_LIDS, axis=0),
        gaze=np.median(iris_angles(chosen), axis=0),
        residual=float(np.median(usual.residuals)),
    )


def _neutral_frames(heads: AlignedHeads) -> np.ndarray:
    """Indices of the frames that show the face at rest.

    Candidates are frontal, with closed lips and open eyes, or come closest to that. A face rests in
    the same way more often than it grimaces in the same way, so rest is where candidates are
    densest; the middle of them is favoured, since actors hold grimaces for seconds.
    """
    yaws = np.degrees(np.arctan2(heads.rotations[:, 0, 2], heads.rotations[:, 2, 2]))
    opening = lid_opening(heads.points)
    awake = (opening / np.quantile(opening, _USUAL_LIDS, axis=0)).min(1) > _OPEN_LIDS
    usable = np.flatnonzero((np.abs(yaws) < _FRONTAL_DEG) & awake)
    if len(usable) < _FEWEST:
        usable = np.argsort(np.abs(yaws))[: max(_FEWEST, len(yaws) // 5)]
    lips = (lip_aperture(heads.points) / lip_width(heads.points))[usable]
    most = np.partition(lips, min(_FEWEST, len(lips)) - 1)[: min(_FEWEST, len(lips))].max()
    closed = usable[lips <= max(np.quantile(lips, NEUTRAL_SHARE), _CLOSED_RATIO, most)]
    features = heads.points[closed][:, _MOVING, :2].reshape(len(closed), -1)
    apart = np.linalg.norm(features[:, None] - features, axis=-1)
    near = min(len(closed), max(_FEWEST, round(NEUTRAL_SHARE * len(closed)))) - 1
    middle = np.linalg.norm(features - np.median(features, axis=0), axis=-1)
    rest = (np.partition(apart, near, axis=1)[:, near] + _MIDDLE_SAY * middle).argmin()
    return closed[np.argsort(apart[rest])[: near + 1]]
