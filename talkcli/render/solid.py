"""Makes dense splats solid: coverage near 1 becomes 1.

Between the splats of a pixel grid, 3 to 8 % of what lies behind shows through. Against a background
of another colour, that is a faint moiré of rings that crawls when the head turns. Larger splats
would close the gaps but blur the face; counting dense coverage as full does not.
"""

from __future__ import annotations

import numpy as np

from talkcli.kernels.jit import kernel

#: Coverage from which it is raised, and from which it counts as full.
_LOOSE, _DENSE = 0.6, 0.9


@kernel(fastmath=True)
def solidify(rgb: np.ndarray, alpha: np.ndarray) -> None:
    """Raise dense coverage to 1 in place, and scale the colours with it.

    Args:
        rgb: ``[H, W, 3]`` float32, premultiplied by ``alpha``.
        alpha: ``[H, W]`` float32.
    """
    for y in range(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            a = alpha[y, x]
            if a > np.float32(_LOOSE) and a < np.float32(1):
                t = min(np.float32(1), (a - np.float32(_LOOSE)) / np.float32(_DENSE - _LOOSE))
                t = t * t * (np.float32(3) - np.float32(2) * t)
                solid = a + (np.float32(1) - a) * t
                gain = solid / a
                alpha[y, x] = solid
                for k in range(3):
                    rgb[y, x, k] *= gain
