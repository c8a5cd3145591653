"""What counts how much when a whole face is solved for expression and identity at once."""

from __future__ import annotations

import numpy as np

from talkcli.tracking.measures import APERTURE_PAIRS, lip_width
from talkcli.tracking.topology import EYE_LEFT, EYE_RIGHT, LIPS

_LIP_WEIGHT, _LID_WEIGHT, _IRIS_WEIGHT, _SKIN_WEIGHT, _DEPTH_WEIGHT = 2.0, 1.3, 1.0, 0.7, 0.3
#: Explicit rows for lip opening, lip width and lid opening: these are what viewers see.
_LIP_ROW, _LID_ROW = 4.0, 3.0


def face_rows(shift: np.ndarray) -> np.ndarray:
    """Weighted least-squares rows of whole-face displacements ``[..., 478, 3]``: ``[..., R]``.

    Lips count most, then lids; depth, which the landmark network guesses, counts little. Unlike
    ``solve.whole_face_weights`` every vertex counts: the face model is fitted to all of them.
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
    for eye in (EYE_LEFT, EYE_RIGHT):
        middle = shift[..., eye.upper[3], 1] - shift[..., eye.lower[3], 1]
        parts.append(_LID_ROW * middle[..., None])
    return np.concatenate(parts, -1)
