"""Colours that go on smoothly from what a picture shows of a closed head to what it does not."""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.engines.portrait.build.images import blur, fill_smooth, shrunk_mean
from talkcli.imaging import smoothstep
from talkcli.shapes import Float

#: Columns of the grid on which colours are continued, their blur in its cells, and the weight from
#: which a cell is known. Light is smooth: 2° wide cells hold it.
_COLUMNS, _BLUR, _KNOWN = 192, 1.5, 0.05
#: Added to colours before taking logarithms.
_BLACK = 0.02


def continued_light(
    texture: Float[np.ndarray, "rows columns 3"],
    weight: Float[np.ndarray, "rows columns"],
    level: Float[np.ndarray, "*rows_columns 3"],
    away: Float[np.ndarray, "rows columns"],
    reach: float,
) -> Float[np.ndarray, "rows columns 3"]:
    """``[rows, columns, 3]`` smooth colours that leave a region as they are at its border.

    They are continued as logarithms, since light multiplies colours: a push-pull pyramid (see
    ``images.fill_smooth``), which approximates the harmonic interpolant.

    Args:
        texture: float32 0-1; columns go around.
        weight: 0-1, how far each colour is to be trusted; 0 outside the region.
        level: the colours far from the region, ``[3]`` or one each.
        away: distance to the region, in columns.
        reach: share of the way around over which colours become those of ``level``.
    """
    rows, around = weight.shape
    size = (_COLUMNS, max(2, round(rows * _COLUMNS / around)))
    logs = np.log(texture + np.float32(_BLACK))
    mean, share = shrunk_mean(logs, np.asarray(weight, np.float32), size, _BLUR)
    known = (share > min(_KNOWN, 0.5 * float(share.max()))).astype(np.float32)
    small = fill_smooth(mean, known, wrap=True)
    light = cv2.resize(blur(small, 1.0), (around, rows), interpolation=cv2.INTER_LINEAR)
    far = np.log(np.asarray(level, np.float32) + np.float32(_BLACK))
    light += smoothstep(away / np.float32(reach * around))[..., None] * (far - light)
    return np.clip(np.exp(light) - np.float32(_BLACK), 0, 1)
