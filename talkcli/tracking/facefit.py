"""Expression weights from displacements: what counts how much, and bounded ridge regression."""

from __future__ import annotations

import numpy as np

from talkcli.tracking.topology import EYE_LEFT, EYE_RIGHT, LIPS, OUTER_CORNERS, Eye

#: Inner lips above and below the middle third of the mouth.
APERTURE_PAIRS = ((13, 14), (82, 87), (312, 317))
_LIP_WEIGHT, _LID_WEIGHT, _IRIS_WEIGHT, _SKIN_WEIGHT, _DEPTH_WEIGHT = 2.0, 1.3, 1.0, 0.7, 0.3
#: Explicit rows for lip opening, lip width and lid opening: these are what viewers see.
_LIP_ROW, _LID_ROW = 4.0, 3.0
_SWEEPS = 80


def lip_aperture(points: np.ndarray) -> np.ndarray:
    """Mean inner lip opening of ``[..., 478, 3]``, in the unit of the points."""
    upper, lower = np.array(APERTURE_PAIRS).T
    return np.asarray((points[..., upper, 1] - points[..., lower, 1]).mean(-1))


def lip_width(points: np.ndarray) -> np.ndarray:
    """Distance of the mouth corners of ``[..., 478, 3]`` along x, in the unit of the points."""
    return np.asarray(points[..., OUTER_CORNERS[1], 0] - points[..., OUTER_CORNERS[0], 0])


def lid_opening(points: np.ndarray, eye: Eye) -> np.ndarray:
    """Height of an eye's opening at its middle, of ``[..., 478, 3]``."""
    return np.asarray(points[..., eye.upper[3], 1] - points[..., eye.lower[3], 1])


def face_rows(shift: np.ndarray) -> np.ndarray:
    """Weighted least-squares rows of whole-face displacements ``[..., 478, 3]``: ``[..., R]``.

    Lips count most, then lids; depth, which the landmark network guesses, counts little.
    """
    weights = np.full(478, _SKIN_WEIGHT)
    weights[list(LIPS)] = _LIP_WEIGHT
    weights[[*EYE_LEFT.rim, *EYE_RIGHT.rim]] = _LID_WEIGHT
    weights[468:] = _IRIS_WEIGHT
    axes = (weights[:, None] * (1.0, 1.0, _DEPTH_WEIGHT)).astype(shift.dtype)
    parts = [(shift * axes).reshape(*shift.shape[:-2], -1)]
    for upper, lower in APERTURE_PAIRS:
        parts.append(_LIP_ROW * (shift[..., upper, 1] - shift[..., lower, 1])[..., None])
    parts.append(_LIP_ROW * lip_width(shift)[..., None])
    parts += [_LID_ROW * lid_opening(shift, eye)[..., None] for eye in (EYE_LEFT, EYE_RIGHT)]
    return np.concatenate(parts, -1)


def bounded_ridge(gram: np.ndarray, target: np.ndarray, ridge: float | np.ndarray) -> np.ndarray:
    """Minimise ``|A x - b|² + ridge |x|²`` with ``0 <= x <= 1``, all right-hand sides at once.

    Cyclic coordinate descent with projection; 80 sweeps leave less than 1e-3 of the weights.

    Args:
        gram: ``[K, K]``, ``A A^T`` for rows of shapes A.
        target: ``[T, K]``, inner products of data and shapes.
        ridge: > 0, one for all shapes or ``[K]``.

    Returns:
        ``[T, K]``.
    """
    weights = np.zeros_like(target)
    strengths = np.broadcast_to(np.asarray(ridge, float), gram.shape[:1])
    for _ in range(_SWEEPS):
        for k in range(gram.shape[0]):
            rest = target[:, k] - weights @ gram[:, k] + weights[:, k] * gram[k, k]
            weights[:, k] = np.clip(rest / (gram[k, k] + strengths[k]), 0.0, 1.0)
    return weights
