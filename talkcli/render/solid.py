"""Makes dense splats solid: coverage near 1 becomes 1.

Between the splats of a pixel grid, 3 to 8 % of what lies behind shows through. Against a background
of another colour, that is a faint moiré of rings that crawls when the head turns. Larger splats
would close the gaps but blur the face; counting dense coverage as full does not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from talkcli.kernels.jit import helper, kernel

#: Coverage from which it is raised, and from which it counts as full.
_LOOSE, _DENSE = np.float32(0.6), np.float32(0.9)
_ZERO, _ONE, _TWO, _THREE = (np.float32(n) for n in range(4))


@helper
def solid(coverage: Any) -> Any:
    """What coverage counts as; above 1, as enlarging makes it, itself."""
    t = min(max((coverage - _LOOSE) / (_DENSE - _LOOSE), _ZERO), _ONE)
    t = t * t * (_THREE - _TWO * t)
    return max(coverage, coverage + (_ONE - coverage) * t)


@kernel
def solidify(rgb: np.ndarray, alpha: np.ndarray) -> None:
    """Raise dense coverage to 1 in place, and scale the colours with it.

    Args:
        rgb: ``[H, W, 3]`` float32, premultiplied by ``alpha``.
        alpha: ``[H, W]`` float32.
    """
    for y in range(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            a = alpha[y, x]
            if a > _LOOSE and a < _ONE:
                alpha[y, x] = solid(a)
                gain = alpha[y, x] / a
                for k in range(3):
                    rgb[y, x, k] *= gain
