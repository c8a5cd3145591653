"""Which lip a splat lies on, and how the jaw carries what is inside the mouth."""

from __future__ import annotations

import numpy as np

from talkcli.face.topology import LIP_LOWER, LIP_UPPER
from talkcli.shapes import Float, Integer


def jaw_shift(moved: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, " 3"]:
    """``[3]`` shift of the lower teeth for vertex displacements ``moved [478, 3]``.

    A third from the chin, two thirds from the lower lip: teeth that follow the chin alone look like
    a white ball.
    """
    chin = moved[[152, 148, 377, 200, 199, 18, 175]].mean(0)
    lip = moved[[14, 87, 317]].mean(0)
    return np.asarray(0.35 * chin + 0.65 * lip)


def lip_side(
    vertices: Integer[np.ndarray, "*n k"], weights: Float[np.ndarray, "*n k"]
) -> Integer[np.ndarray, "*n"]:
    """+1 on the upper lip, -1 on the lower lip and 0 elsewhere, for bindings ``[..., k]``."""
    sign = np.zeros(478)
    sign[list(LIP_UPPER)], sign[list(LIP_LOWER)] = 1, -1
    value = (sign[vertices] * weights).sum(-1)
    return np.asarray(np.where(np.abs(value) > 0.02, np.sign(value), 0), np.int8)
