"""How one person's lips follow speech: from what the speech network asks of any face to theirs.

The network knows no person. Somebody's own mouth rests otherwise, opens less or more, and uses
shapes that the network leaves out; a few seconds of their speech tell how. Over three held-out
tails of clips, the error of the expression falls by 40 % (.113 to .072, .093 to .057, .169 to
.104), that of the lips' width by a third, and the opening keeps the network's correlation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcli.face.measures import lip_aperture
from talkcli.imaging import smoothstep
from talkcli.motion.retarget import SPOKEN
from talkcli.shapes import Float, Float32
from talkcli.types import ARKIT_NAMES

_JAW = ARKIT_NAMES.index("jawOpen")
#: Pull towards the network's own prediction, per frame and squared standard deviation. A tenth of
#: it learns the clip by heart, three times as much keeps strange smiles.
_PULL = 1.0
#: Deviations below this count as none: shapes that speech hardly uses.
_LEAST_SPREAD = 0.02
#: Share of the frames, those with the most closed lips, that tells how they rest.
_REST_SHARE = 0.1
#: The network's lips are shut below the first opening and speak above the second, centimetres.
_SHUT_CM = (0.05, 0.25)
#: The opening may be made this much smaller or larger.
_GAIN = (0.5, 1.6)


@dataclass(frozen=True)
class VoiceMap:
    """The expression of one person's speech, from that which the network predicts.

    Attributes:
        weight: ``[52, 52]`` and
        bias: ``[52]``: the expression is ``weights @ weight + bias``, but for
        opening: ``[52]`` how far each shape opens the lips, cm: jawOpen is set so that they open by
        gain: times what the network opens them, plus
        offset: centimetres; and by
        rest: where the network shuts them.
    """

    weight: Float32[np.ndarray, "52 52"]
    bias: Float32[np.ndarray, " 52"]
    opening: Float32[np.ndarray, " 52"]
    gain: float
    offset: float
    rest: float

    def __call__(self, weights: Float[np.ndarray, " 52"]) -> Float[np.ndarray, " 52"]:
        """``[52]`` this person's expression, from the network's."""
        own = np.where(SPOKEN, np.clip(weights @ self.weight + self.bias, 0, 1), weights)
        asked = float(weights @ self.opening)
        low, high = _SHUT_CM
        speaks = float(smoothstep(np.array((asked - low) / (high - low))))
        wanted = speaks * (self.gain * asked + self.offset) + (1 - speaks) * self.rest
        own[_JAW] += (wanted - float(own @ self.opening)) / self.opening[_JAW]
        own[_JAW] = np.clip(own[_JAW], 0, 1)
        return np.asarray(own)


def learn_voice(
    asked: Float[np.ndarray, "n 52"],
    seen: Float[np.ndarray, "n 52"],
    basis: Float[np.ndarray, "52 478 3"],
    face: Float[np.ndarray, "478 3"],
) -> VoiceMap:
    """Learn from frames of somebody speaking, by ridge regression towards the identity.

    Args:
        asked: ``[n, 52]`` what the speech network predicts for each frame.
        seen: ``[n, 52]`` the tracked expression.
        basis: ``[52, 478, 3]`` the person's ARKit shapes, cm.
        face: ``[478, 3]`` their neutral face.
    """
    mean, usual = asked.mean(0), seen.mean(0)
    spread = asked.std(0) + _LEAST_SPREAD
    scaled = (asked - mean) / spread
    missing = seen - usual - (asked - mean)
    square = scaled.T @ scaled + _PULL * len(asked) * np.eye(len(ARKIT_NAMES))
    weight = (
        np.eye(len(ARKIT_NAMES)) + np.linalg.solve(square, scaled.T @ missing) / spread[:, None]
    )
    closed = lip_aperture(face)
    opening = np.array([lip_aperture(face + shape) - closed for shape in basis])
    heard, shown = asked @ opening, seen @ opening
    # Half way, in factors, from the gain of least error, which mumbles, to that of natural size.
    alike = float(np.corrcoef(heard, shown)[0, 1]) if heard.std() > 1e-6 < shown.std() else 0.0
    natural = float(shown.std()) / max(float(heard.std()), 1e-3)
    gain = float(np.clip(natural * np.sqrt(max(alike, 0.0)), *_GAIN))
    return VoiceMap(
        weight.astype(np.float32),
        (usual - mean @ weight).astype(np.float32),
        opening.astype(np.float32),
        gain,
        float(shown.mean() - gain * heard.mean()),
        float(np.quantile(shown, _REST_SHARE)),
    )
