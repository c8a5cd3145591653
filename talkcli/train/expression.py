"""Expression weights of the lower face, solved per frame from tracked landmarks.

Landmarks are freed of pose and scale by the rigid vertices, the neutral face of the person (lips
closed) is taken off, and the rest is explained by ARKit shapes with weights between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from talkcli.tracking.facemodel import FaceModel
from talkcli.tracking.headfit import DEPTH_SCALE, IMAGE_TO_HEAD
from talkcli.tracking.topology import CHIN, JAW_LINE, LIPS, OUTER_CORNERS, RIGID
from talkcli.train.clips import Clip
from talkcli.types import ARKIT_NAMES

#: Shapes that speech drives; names without a side move left and right together.
SPEECH_SHAPES = (
    "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthStretch", "mouthSmile",
    "mouthFrown", "mouthDimple", "mouthUpperUp", "mouthLowerDown", "mouthPress", "mouthRollUpper",
    "mouthRollLower", "mouthShrugUpper", "mouthShrugLower",
)  # fmt: skip
#: Inner lips above and below the middle third of the mouth.
APERTURE_PAIRS = ((13, 14), (82, 87), (312, 317))
MAX_YAW_DEG = 30.0

_NEUTRAL_SHARE = 0.2  # a person's most closed frames make the neutral face
_SHORT_FRAMES = 60  # shorter clips share the neutral face of their speaker
_LIP_WEIGHT, _JAW_WEIGHT, _DEPTH_WEIGHT = 2.0, 0.7, 0.3
_ROW_WEIGHT = 6.0  # explicit rows for aperture and width: these are what viewers see
# cm². At 0.36 rolled lips fight against lowered ones (weights of 0.8 each) for 0.5 % of the motion.
_RIDGE = 4.0
_SWEEPS = 80


@dataclass(frozen=True)
class TrackedSpeech:
    """What one clip teaches.

    Attributes:
        clip: where it comes from.
        weights: ``[T, 15]`` of ``SPEECH_SHAPES``, float32.
        aperture: ``[T]`` inner lip opening above the neutral one, cm of the head frame.
        width: ``[T]`` distance of the mouth corners less the neutral one, cm.
        valid: ``[T]`` bool, face found and within 30° of frontal.
        explained: share of the lips' motion in x and y that the weights explain, 0–1.
    """

    clip: Clip
    weights: np.ndarray
    aperture: np.ndarray
    width: np.ndarray
    valid: np.ndarray
    explained: float

    @property
    def seconds(self) -> float:
        """Length of the valid frames."""
        return float(self.valid.sum() * np.median(np.diff(self.clip.times)))


def speech_basis(model: FaceModel) -> np.ndarray:
    """``[15, 478, 3]`` displacement of ``SPEECH_SHAPES`` in cm at weight 1."""
    return np.array([model.basis[shape_columns(name)].sum(0) for name in SPEECH_SHAPES])


def shape_columns(name: str) -> list[int]:
    """Indices in ``ARKIT_NAMES`` of a shape, or of its left and right half."""
    names = [name] if name in ARKIT_NAMES else [f"{name}Left", f"{name}Right"]
    return [ARKIT_NAMES.index(n) for n in names]


def lip_aperture(points: np.ndarray) -> np.ndarray:
    """Mean inner lip opening of ``[..., 478, 3]``, in the unit of the points."""
    upper, lower = np.array(APERTURE_PAIRS).T
    return (points[..., upper, 1] - points[..., lower, 1]).mean(-1)


def lip_width(points: np.ndarray) -> np.ndarray:
    """Distance of the mouth corners of ``[..., 478, 3]`` along x, in the unit of the points."""
    return points[..., OUTER_CORNERS[1], 0] - points[..., OUTER_CORNERS[0], 0]


def solve_clips(clips: Sequence[Clip], model: FaceModel) -> list[TrackedSpeech]:
    """Weights of every clip in which a face was found in at least 10 frames."""
    heads = [_to_head_frame(clip.points, model.vertices) for clip in clips]
    kept = [(c, h) for c, h in zip(clips, heads, strict=True) if h is not None and h[1].sum() >= 10]
    shared = _speaker_neutrals(kept)
    basis = speech_basis(model)
    solved = []
    for clip, (points, valid) in kept:
        long = valid.sum() >= _SHORT_FRAMES
        neutral = _neutral(points[valid]) if long else shared[clip.speaker]
        solved.append(_solve(clip, points - neutral, valid, basis))
    return solved


def _speaker_neutrals(kept) -> dict[str, np.ndarray]:  # type: ignore[no-untyped-def]
    frames: dict[str, list[np.ndarray]] = {}
    for clip, (points, valid) in kept:
        frames.setdefault(clip.speaker, []).append(points[valid])
    return {speaker: _neutral(np.concatenate(parts)) for speaker, parts in frames.items()}


def _neutral(points: np.ndarray) -> np.ndarray:
    """Mean of the frames with the smallest opening for their width: ``[478, 3]``."""
    closed = lip_aperture(points) / lip_width(points)
    return points[closed <= np.quantile(closed, _NEUTRAL_SHARE)].mean(0)


def _to_head_frame(
    points: np.ndarray, template: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """``[T, 478, 3]`` landmarks in the head frame (cm) and which frames to trust."""
    found = np.isfinite(points[:, 0, 0])
    if found.sum() < 10:
        return None
    filled = points.astype(np.float64) * (1.0, 1.0, DEPTH_SCALE)
    indices = np.flatnonzero(found)
    for frame in np.flatnonzero(~found):
        filled[frame] = filled[indices[np.abs(indices - frame).argmin()]]
    upright = filled @ IMAGE_TO_HEAD
    # Second pass against the person's own mean: a foreign face shape would leak into the pose.
    head, rotation = _align(upright, template)
    head, rotation = _align(upright, np.median(head[found], axis=0))
    yaw = np.degrees(np.arctan2(rotation[:, 0, 2], rotation[:, 2, 2]))
    return head, found & (np.abs(yaw) < MAX_YAW_DEG)


def _align(points: np.ndarray, template: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Similarity of each frame's rigid vertices to the template's (Umeyama 1991, batched).

    Returns:
        ``[T, 478, 3]`` aligned points and ``[T, 3, 3]`` rotations from head to image.
    """
    rigid = list(RIGID)
    centre_p, centre_t = points[:, rigid].mean(1, keepdims=True), template[rigid].mean(0)
    a, b = points[:, rigid] - centre_p, template[rigid] - centre_t
    u, singular, vt = np.linalg.svd(np.einsum("ni,tnj->tij", b, a))
    signs = np.ones_like(singular)
    signs[:, 2] = np.sign(np.linalg.det(u @ vt))
    to_head = np.einsum("tij,tj,tjk->tik", u, signs, vt)
    scale = (singular * signs).sum(1) / (a**2).sum((1, 2))
    aligned = np.einsum("t,tij,tnj->tni", scale, to_head, points - centre_p) + centre_t
    return aligned, to_head.transpose(0, 2, 1)


def _rows(shift: np.ndarray) -> np.ndarray:
    """Weighted least-squares rows of displacements ``[..., 478, 3]``: ``[..., R]``."""
    jaw = sorted(set(CHIN + JAW_LINE) - set(LIPS))
    axes = np.array([1.0, 1.0, _DEPTH_WEIGHT])
    parts = [
        _LIP_WEIGHT * (shift[..., list(LIPS), :] * axes).reshape(*shift.shape[:-2], -1),
        _JAW_WEIGHT * (shift[..., jaw, :] * axes).reshape(*shift.shape[:-2], -1),
    ]
    for upper, lower in APERTURE_PAIRS:
        parts.append(_ROW_WEIGHT * (shift[..., upper, 1] - shift[..., lower, 1])[..., None])
    parts.append(_ROW_WEIGHT * lip_width(shift)[..., None])
    return np.concatenate(parts, -1)


def _solve(clip: Clip, shift: np.ndarray, valid: np.ndarray, basis: np.ndarray) -> TrackedSpeech:
    system = _rows(basis)
    weights = bounded_ridge(system @ system.T, _rows(shift) @ system.T, _RIDGE)
    lips = shift[valid][:, list(LIPS), :2]
    rest = lips - np.einsum("tk,kvd->tvd", weights[valid], basis[:, list(LIPS), :2])
    spread = ((lips - lips.mean(0)) ** 2).sum()
    return TrackedSpeech(
        clip=clip,
        weights=weights.astype(np.float32),
        aperture=lip_aperture(shift),
        width=lip_width(shift),
        valid=valid,
        explained=float(1.0 - ((rest - rest.mean(0)) ** 2).sum() / spread),
    )


def bounded_ridge(gram: np.ndarray, target: np.ndarray, ridge: float) -> np.ndarray:
    """Minimise ``|A x - b|² + ridge |x|²`` with ``0 <= x <= 1``, all right-hand sides at once.

    Cyclic coordinate descent with projection; 80 sweeps leave less than 1e-3 of the weights.

    Args:
        gram: ``[K, K]``, ``A A^T`` for rows of shapes A.
        target: ``[T, K]``, inner products of data and shapes.
        ridge: > 0.

    Returns:
        ``[T, K]``.
    """
    weights = np.zeros_like(target)
    for _ in range(_SWEEPS):
        for k in range(gram.shape[0]):
            rest = target[:, k] - weights @ gram[:, k] + weights[:, k] * gram[k, k]
            weights[:, k] = np.clip(rest / (gram[k, k] + ridge), 0.0, 1.0)
    return weights
