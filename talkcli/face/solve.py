"""Solves for ARKit weights from displacements: bounded ridge regression, coupled over time."""

from __future__ import annotations

import numpy as np

from talkcli.face.measures import APERTURE_PAIRS, lip_width
from talkcli.face.topology import (
    BROW_LEFT,
    BROW_RIGHT,
    CHIN,
    EYE_LEFT,
    EYE_RIGHT,
    JAW_LINE,
    LIPS,
    NOSE,
    OUTER_CORNERS,
)
from talkcli.shapes import Float

_SWEEPS = 80
#: A sweep that changes no weight by more than this is the last one for a single frame.
_SETTLED = 1e-5
_LIP_WEIGHT, _JAW_WEIGHT, _DEPTH_WEIGHT = 2.0, 0.7, 0.3
#: The same for whole expressions. With .7, wide mouths were attributed to the jaw alone, and over
#: 19 clips chins were .72 % of the face height too low; now they are .33 %.
_CHIN_WEIGHT, _WHOLE_JAW_WEIGHT = 2.0, 1.0
_ROW_WEIGHT = 6.0  # explicit rows for aperture and width, which are what viewers see
_BROW_WEIGHT, _LID_WEIGHT, _NOSE_WEIGHT, _CHEEK_WEIGHT = 1.8, 1.0, 1.0, 0.8
_CHEEKS = (50, 280, 205, 425, 187, 411, 101, 330, 36, 266, 203, 423, 206, 426)


def vertex_weights(parts: dict[tuple[int, ...], float]) -> Float[np.ndarray, "478 3"]:
    """``[478, 3]`` weight of every coordinate; the first group wins for vertices named twice."""
    weights = np.zeros((478, 3))
    for group, weight in reversed(parts.items()):
        weights[list(group)] = np.array([1.0, 1.0, _DEPTH_WEIGHT]) * weight
    return weights


def lower_face_weights() -> Float[np.ndarray, "478 3"]:
    """``[478, 3]`` weights for solving speech: lips and jaw."""
    return vertex_weights({LIPS: _LIP_WEIGHT, CHIN + JAW_LINE: _JAW_WEIGHT})


def whole_face_weights() -> Float[np.ndarray, "478 3"]:
    """``[478, 3]`` weights for solving a whole expression."""
    return vertex_weights(
        {
            LIPS: _LIP_WEIGHT,
            CHIN: _CHIN_WEIGHT,
            JAW_LINE: _WHOLE_JAW_WEIGHT,
            BROW_LEFT + BROW_RIGHT: _BROW_WEIGHT,
            EYE_LEFT.rim + EYE_RIGHT.rim: _LID_WEIGHT,
            NOSE: _NOSE_WEIGHT,
            _CHEEKS: _CHEEK_WEIGHT,
        }
    )


class ShapeFit:
    """Least squares of displacements against shapes, reduced to one small system.

    Args:
        basis: ``[K, 478, 3]`` shapes, cm at weight 1.
        weights: ``[478, 3]`` weights of the coordinates.
    """

    def __init__(
        self, basis: Float[np.ndarray, "K 478 3"], weights: Float[np.ndarray, "478 3"]
    ) -> None:
        rows = self._rows(basis, weights)
        #: ``[K, K]`` inner products of the shapes.
        self.gram = rows @ rows.T
        # A displacement enters only through its inner products with the shapes, so all rows fold
        # into one matrix acting on its coordinates.
        count = len(basis)
        fold = (basis * weights**2).reshape(count, -1)
        fold += _ROW_WEIGHT**2 * self._line_rows(basis).T @ _lines()
        self._fold = fold.T

    def targets(self, shift: Float[np.ndarray, "T 478 3"]) -> Float[np.ndarray, "T K"]:
        """``[T, K]`` inner products of displacements ``[T, 478, 3]`` with the shapes."""
        return np.asarray(shift.reshape(len(shift), -1) @ self._fold)

    def _rows(self, basis: np.ndarray, weights: np.ndarray) -> np.ndarray:
        points = (basis * weights).reshape(len(basis), -1)
        return np.concatenate([points, _ROW_WEIGHT * self._line_rows(basis).T], 1)

    @staticmethod
    def _line_rows(basis: np.ndarray) -> np.ndarray:
        return np.asarray(_lines() @ basis.reshape(len(basis), -1).T)


def _lines() -> np.ndarray:
    """``[4, 1434]`` lip apertures and mouth width as functions of all coordinates."""
    lines = np.zeros((len(APERTURE_PAIRS) + 1, 478, 3))
    for row, (upper, lower) in enumerate(APERTURE_PAIRS):
        lines[row, upper, 1], lines[row, lower, 1] = 1.0, -1.0
    lines[-1, OUTER_CORNERS[1], 0], lines[-1, OUTER_CORNERS[0], 0] = 1.0, -1.0
    return lines.reshape(len(lines), -1)


def bounded_ridge(
    gram: Float[np.ndarray, "K K"],
    target: Float[np.ndarray, "T K"],
    ridge: float | Float[np.ndarray, " K"],
    *,
    coupling: float = 0.0,
    start: Float[np.ndarray, "T K"] | None = None,
    sweeps: int = _SWEEPS,
) -> Float[np.ndarray, "T K"]:
    """Minimise ``Σ_t |A x_t - b_t|² + ridge |x_t|² + coupling |x_t - x_{t-1}|²``, ``0 <= x <= 1``.

    Cyclic coordinate descent with projection, all frames at once; 80 sweeps from zero come within
    1e-3 of the weights.

    Args:
        gram: ``[K, K]``, ``A A^T`` for rows of shapes A.
        target: ``[T, K]``, inner products of data and shapes.
        ridge: > 0, one value for all shapes or ``[K]``.
        coupling: strength of the coupling between neighbouring frames; 0 for none.
        start: ``[T, K]`` initial weights; zero by default.
        sweeps: number of sweeps over all shapes.

    Returns:
        ``[T, K]``.
    """
    weights = np.zeros_like(target) if start is None else np.clip(start, 0.0, 1.0)
    strengths = np.broadcast_to(np.asarray(ridge, float), gram.shape[:1])
    if len(target) == 1:
        return _bounded_ridge_once(gram, target[0], strengths, weights[0], sweeps)[None]
    neighbours = np.full(len(target), 2.0)
    neighbours[[0, -1]] -= 1.0
    for _ in range(sweeps):
        for k in range(gram.shape[0]):
            column = weights[:, k]
            rest = target[:, k] - weights @ gram[:, k] + column * gram[k, k]
            stiffness = gram[k, k] + strengths[k]
            if coupling > 0:
                rest[1:] += coupling * column[:-1]
                rest[:-1] += coupling * column[1:]
                weights[:, k] = np.clip(rest / (stiffness + coupling * neighbours), 0.0, 1.0)
            else:
                weights[:, k] = np.clip(rest / stiffness, 0.0, 1.0)
    return weights


def _bounded_ridge_once(
    gram: np.ndarray, target: np.ndarray, strengths: np.ndarray, start: np.ndarray, sweeps: int
) -> np.ndarray:
    """:func:`bounded_ridge` for one frame, with numbers instead of columns: ten times as fast.

    Args:
        gram: ``[K, K]``.
        target: ``[K]``.
        strengths: ``[K]`` ridges.
        start: ``[K]`` initial weights.
        sweeps: number of sweeps at most; it stops when one changes nothing.
    """
    # What is left to explain, and by how much each weight would change it.
    rest = target - gram @ start
    weights = start.tolist()
    diagonal = np.diagonal(gram).tolist()
    stiffness = (np.diagonal(gram) + strengths).tolist()
    for _ in range(sweeps):
        largest = 0.0
        for k, weight in enumerate(weights):
            best = (float(rest[k]) + diagonal[k] * weight) / stiffness[k]
            best = min(max(best, 0.0), 1.0)
            if best != weight:
                rest -= (best - weight) * gram[k]
                weights[k] = best
                largest = max(largest, abs(best - weight))
        if largest < _SETTLED:
            break
    return np.array(weights, target.dtype)


#: Weights in a fit of whole faces, including their identity.
_FIT_LIPS, _FIT_LIDS, _FIT_IRISES, _FIT_SKIN = 2.0, 1.3, 1.0, 0.7


#: Explicit rows for lip opening, lip width and lid opening, which are what viewers see.
_LIP_ROW, _LID_ROW = 4.0, 3.0


def face_rows(shift: Float[np.ndarray, "*frames 478 3"]) -> Float[np.ndarray, "*frames R"]:
    """Weighted least-squares rows of whole-face displacements ``[..., 478, 3]``: ``[..., R]``.

    Lips count most, then lids; depth, which the landmark network guesses, counts little. Unlike
    in ``whole_face_weights``, every vertex counts: the face model is fitted to all of them.
    """
    weights = np.full(478, _FIT_SKIN)
    weights[list(LIPS)] = _FIT_LIPS
    weights[[*EYE_LEFT.rim, *EYE_RIGHT.rim]] = _FIT_LIDS
    weights[468:] = _FIT_IRISES
    axes = (weights[:, None] * (1.0, 1.0, _DEPTH_WEIGHT)).astype(shift.dtype)
    parts = [(shift * axes).reshape(*shift.shape[:-2], -1)]
    for upper, lower in APERTURE_PAIRS:
        parts.append(_LIP_ROW * (shift[..., upper, 1] - shift[..., lower, 1])[..., None])
    parts.append(_LIP_ROW * lip_width(shift)[..., None])
    for eye in (EYE_LEFT, EYE_RIGHT):
        middle = shift[..., eye.upper[3], 1] - shift[..., eye.lower[3], 1]
        parts.append(_LID_ROW * middle[..., None])
    return np.concatenate(parts, -1)
