"""Expression weights of the lower face, solved per frame from tracked landmarks.

The rigid vertices give pose and scale, which are removed; the person's neutral face (lips closed)
is subtracted; and the rest is fitted with ARKit shapes at weights between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from talkcli.face.measures import lip_aperture, lip_width
from talkcli.face.model import FaceModel
from talkcli.face.solve import ShapeFit, bounded_ridge, lower_face_weights
from talkcli.face.topology import LIPS
from talkcli.tracking.person import align_to_self, neutral_face
from talkcli.train.clips import Clip
from talkcli.types import shape_columns

__all__ = [
    "SPEECH_SHAPES",
    "TrackedSpeech",
    "bounded_ridge",
    "lip_aperture",
    "lip_width",
    "shape_columns",
    "solve_clips",
    "speech_basis",
]

#: Shapes driven by speech; names without a side move both sides together.
SPEECH_SHAPES = (
    "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthStretch", "mouthSmile",
    "mouthFrown", "mouthDimple", "mouthUpperUp", "mouthLowerDown", "mouthPress", "mouthRollUpper",
    "mouthRollLower", "mouthShrugUpper", "mouthShrugLower",
)  # fmt: skip
MAX_YAW_DEG = 30.0

_SHORT_FRAMES = 60  # shorter clips share one neutral face per speaker
# cm². At 0.36 lips roll and drop at once (weights of 0.8 each) to explain 0.5 % more of the motion.
_RIDGE = 4.0


@dataclass(frozen=True)
class TrackedSpeech:
    """The measured lips of one clip.

    Attributes:
        clip: the clip they were measured in.
        weights: ``[T, 15]`` of ``SPEECH_SHAPES``, float32.
        aperture: ``[T]`` inner lip opening above the neutral one, cm of the head frame.
        width: ``[T]`` distance of the mouth corners minus the neutral one, cm.
        lips: ``[T, 40, 3]`` displacement of ``LIPS`` from the neutral face, cm, float32.
        valid: ``[T]`` bool, face found and within 30° of frontal.
        explained: share of the lips' motion in x and y that the weights explain, 0–1.
    """

    clip: Clip
    weights: np.ndarray
    aperture: np.ndarray
    width: np.ndarray
    lips: np.ndarray
    valid: np.ndarray
    explained: float

    @property
    def seconds(self) -> float:
        """Total length of the valid frames."""
        return float(self.valid.sum() * np.median(np.diff(self.clip.times)))


def speech_basis(model: FaceModel) -> np.ndarray:
    """``[15, 478, 3]`` displacement of ``SPEECH_SHAPES`` in cm at weight 1."""
    return np.array([model.basis[shape_columns(name)].sum(0) for name in SPEECH_SHAPES])


def solve_clips(clips: Sequence[Clip], model: FaceModel) -> list[TrackedSpeech]:
    """Weights of every clip in which a face was found in at least 10 frames."""
    heads = [to_head_frame(clip.points, model.vertices) for clip in clips]
    kept = [(c, h) for c, h in zip(clips, heads, strict=True) if h is not None and h[1].sum() >= 10]
    shared = _speaker_neutrals(kept)
    basis = speech_basis(model)
    solved = []
    for clip, (points, valid) in kept:
        long = valid.sum() >= _SHORT_FRAMES
        neutral = neutral_face(points[valid]) if long else shared[clip.speaker]
        solved.append(_solve(clip, points - neutral, valid, basis))
    return solved


def _speaker_neutrals(kept) -> dict[str, np.ndarray]:  # type: ignore[no-untyped-def]
    frames: dict[str, list[np.ndarray]] = {}
    for clip, (points, valid) in kept:
        frames.setdefault(clip.speaker, []).append(points[valid])
    return {speaker: neutral_face(np.concatenate(parts)) for speaker, parts in frames.items()}


def to_head_frame(points: np.ndarray, template: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """``[T, 478, 3]`` landmarks in the head frame (cm) and which frames to trust."""
    found = np.isfinite(points[:, 0, 0])
    if found.sum() < 10:
        return None
    filled = points.copy()
    indices = np.flatnonzero(found)
    for frame in np.flatnonzero(~found):
        filled[frame] = filled[indices[np.abs(indices - frame).argmin()]]
    heads, _ = align_to_self(filled, template)
    yaw = np.degrees(np.arctan2(heads.rotations[:, 0, 2], heads.rotations[:, 2, 2]))
    return heads.points, found & (np.abs(yaw) < MAX_YAW_DEG)


def _solve(clip: Clip, shift: np.ndarray, valid: np.ndarray, basis: np.ndarray) -> TrackedSpeech:
    fit = ShapeFit(basis, lower_face_weights())
    weights = bounded_ridge(fit.gram, fit.targets(shift), _RIDGE)
    lips = shift[valid][:, list(LIPS), :2]
    rest = lips - np.einsum("tk,kvd->tvd", weights[valid], basis[:, list(LIPS), :2])
    spread = ((lips - lips.mean(0)) ** 2).sum()
    return TrackedSpeech(
        clip=clip,
        weights=weights.astype(np.float32),
        aperture=lip_aperture(shift),
        width=lip_width(shift),
        lips=shift[:, list(LIPS)].astype(np.float32),
        valid=valid,
        explained=float(1.0 - ((rest - rest.mean(0)) ** 2).sum() / spread),
    )
