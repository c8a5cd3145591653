"""Closing lids: their stretched skin gives way to smooth skin with a lash line.

The skin between crease and rim is stretched to three to five times its height by a blink, and the
lashes that the picture has on it are drawn into streaks. The nearer to the rim, the more of it
fades; what lies behind it (``Layer.LID``) is built for closed lids, and lashes appear at its rim.
"""

from __future__ import annotations

import numpy as np

from talkcli.engines.portrait.splats import Layer, RestSplats
from talkcli.face.topology import EYE_LEFT, EYE_RIGHT
from talkcli.imaging import smoothstep
from talkcli.shapes import Float, Float32

#: Closure, as a share of the source's opening, from which the skin fades and at which it has.
_FADES = (0.2, 0.65)
#: Share of a splat's weight that lies on the lid's rim from which it may fade, and all of it does.
_FROM_RIM = (0.08, 0.4)
#: Openings below this are squints that close too little to stretch anything, cm.
_LEAST_CM = 0.1


class LidSkin:
    """The skin of both upper lids.

    Args:
        splats: the avatar's splats, at the source's expression.
        vertices: ``[478, 3]`` the source's face, head frame.
    """

    def __init__(self, splats: RestSplats, vertices: Float[np.ndarray, "478 3"]) -> None:
        indices, fades, lashes = [], [], []
        for eye in (EYE_RIGHT, EYE_LEFT):
            rim = np.isin(splats.vertices, eye.upper) * splats.weights
            own = (splats.layers == Layer.LASHES) & (np.abs(rim).sum(1) > 0)
            lashes.append(np.flatnonzero(own))
            share = smoothstep((rim.sum(1) - _FROM_RIM[0]) / (_FROM_RIM[1] - _FROM_RIM[0]))
            chosen = np.flatnonzero((splats.layers == Layer.SKIN) & (share > 0))
            indices.append(chosen)
            fades.append(share[chosen].astype(np.float32))
        self._indices, self._fades, self._lashes = indices, fades, lashes
        self._source = self._openings(vertices)
        self._shares = np.zeros(2, np.float32)

    def close(self, face: Float[np.ndarray, "478 3"]) -> None:
        """Take the lids of a face ``[478, 3]`` in its current expression."""
        closed = 1 - self._openings(face) / self._source
        share = smoothstep((closed - _FADES[0]) / (_FADES[1] - _FADES[0]))
        self._shares = (share * (self._source > _LEAST_CM)).astype(np.float32)

    def apply(self, opacities: Float32[np.ndarray, " N"]) -> None:
        """Fade the skin of the lids, and lashes that are not there yet, in ``[N]`` opacities."""
        parts = (self._indices, self._fades, self._lashes, self._shares)
        for index, fade, lashes, share in zip(*parts, strict=True):
            opacities[lashes] *= share
            if share > 0:
                opacities[index] *= 1 - share * fade

    @staticmethod
    def _openings(face: np.ndarray) -> np.ndarray:
        """``[2]`` mean opening of the right and the left eye, cm."""
        heights = [
            (face[list(eye.upper), 1] - face[list(eye.lower), 1]).mean()
            for eye in (EYE_RIGHT, EYE_LEFT)
        ]
        return np.maximum(heights, 1e-3)
