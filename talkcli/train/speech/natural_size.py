"""Natural size: from what networks give to what real speakers show, and films let through.

Networks that explain half of the motion predict half of it, each shape by its own share. Their
outputs over recordings of many speakers are mapped, shape by shape, to the distribution of the
weights that real speakers have; then their lip opening likewise. What a film shows is smaller than
what was asked for, and is made up for here, as measured by ``benchmarks/alive.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from talkcli.shapes import Float
from talkcli.speech.model import SpeechModel
from talkcli.train.expression import TrackedSpeech

#: Correlation of the outputs with the weights of clips of at least 100 frames. What is hardly known
#: is not stretched to its natural size, which would be noise; the others are blended in between.
_KNOWN = {
    "jawOpen": 0.70, "mouthClose": 0.55, "mouthFunnel": 0.25, "mouthPucker": 0.57,
    "mouthStretch": 0.51, "mouthSmile": 0.68, "mouthFrown": 0.11, "mouthDimple": 0.33,
    "mouthUpperUp": 0.26, "mouthLowerDown": 0.28, "mouthPress": 0.31, "mouthRollUpper": 0.46,
    "mouthRollLower": 0.18, "mouthShrugUpper": 0.44, "mouthShrugLower": 0.13,
}  # fmt: skip
_UNKNOWN, _WELL_KNOWN = 0.15, 0.45
#: What is unknown keeps its deviations, stretched by this.
_GAIN = 1.25
_SHARES = np.array(
    [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.995]
)  # fmt: skip
#: A speaker with fewer frames does not show a distribution.
LEAST_FRAMES = 100
#: Opening that FaceMesh sees in films of twelve portraits, and what is asked for there, cm. Lips
#: that part by a third of a centimetre are still seen shut; that is hardly made up for, since
#: closures would suffer.
_SEEN_CM = np.array([0.0, 0.06, 0.25, 0.50, 0.85, 1.35, 1.75])
_ASKED_CM = np.array([0.0, 0.05, 0.22, 0.55, 1.02, 1.55, 2.00])
#: Up to this share of the speaking time lips are shut; in real speakers it is a tenth. At .13, .80
#: of 312 closures between open lips are met (aperture below 1 mm), at .18 .85.
_SHUT_SHARE = 0.18
#: Asked for over seen, of the corners' ways to the side: films show .65 of them, against .75 where
#: a clip drives its own face, and less than that was wanted for the same persons and words.
_ASKED_WIDTH = 1.15
_SIDEWAYS = ("mouthStretch", "mouthSmile", "mouthPucker", "mouthDimple", "mouthFunnel")


@dataclass(frozen=True)
class Speaking:
    """The lips of a real speaker while speaking.

    Attributes:
        weights: ``[n, shapes]``.
        aperture: ``[n]`` cm.
    """

    weights: Float[np.ndarray, "n shapes"]
    aperture: Float[np.ndarray, " n"]


def speakers_of(tracks: Sequence[TrackedSpeech], speaking: Sequence[np.ndarray]) -> list[Speaking]:
    """The longest clip of every speaker, those of at least :data:`LEAST_FRAMES` if there are any.

    Args:
        tracks: measured clips.
        speaking: of every clip, the frames that count.
    """
    best: dict[str, tuple[int, Speaking]] = {}
    for track, flags in zip(tracks, speaking, strict=True):
        count, name = int(flags.sum()), track.clip.speaker
        if count > best.get(name, (0, None))[0]:
            best[name] = count, Speaking(track.weights[flags], track.aperture[flags])
    long = [each for count, each in best.values() if count >= LEAST_FRAMES]
    return long or [each for _, each in best.values()]


def natural_size(
    model: SpeechModel,
    outputs: Sequence[Float[np.ndarray, "_ shapes"]],
    speakers: Sequence[Speaking],
) -> SpeechModel:
    """The model with maps and curve for its outputs.

    Quantiles are means over recordings and over speakers, so that lips of different size do not
    widen the distribution of each.

    Args:
        model: its maps and curve are replaced.
        outputs: of the network while somebody speaks, by recording.
        speakers: whose sizes are natural.
    """
    before = np.mean([np.quantile(part, _SHARES, axis=0) for part in outputs], 0)
    real = np.mean([np.quantile(each.weights, _SHARES, axis=0) for each in speakers], 0)
    mean = np.mean([each.weights.mean(0) for each in speakers], 0)
    maps = []
    for k, name in enumerate(model.shapes):
        known = np.clip((_KNOWN[name] - _UNKNOWN) / (_WELL_KNOWN - _UNKNOWN), 0.0, 1.0)
        plain = mean[k] + _GAIN * (before[:, k] - before[:, k].mean())
        after = known * real[:, k] + (1.0 - known) * np.maximum(plain, 0.0)
        after = after * (_ASKED_WIDTH if name in _SIDEWAYS else 1.0)
        maps.append(_line(before[:, k], after, tail=0.1))
    model = replace(model, maps=np.array(maps))
    plain = [model.plain_aperture(model.full(part)) for part in outputs]
    shares = np.sort(np.append(_SHARES, _SHUT_SHARE))
    before_cm = np.mean([np.quantile(part, shares) for part in plain], 0)
    real_cm = np.mean([np.quantile(each.aperture, shares) for each in speakers], 0)
    asked_cm = np.interp(real_cm, _SEEN_CM, _ASKED_CM) * (shares > _SHUT_SHARE)
    return replace(model, curve=_line(before_cm, asked_cm, tail=1.0))


def _line(before: np.ndarray, after: np.ndarray, tail: float) -> np.ndarray:
    """``[2, knots]`` a rising line that continues at half its slope instead of levelling off."""
    rising = np.maximum.accumulate(before + 1e-7 * np.arange(len(before)))
    slope = (after[-1] - after[-3]) / max(rising[-1] - rising[-3], 1e-6)
    end = np.array([rising[-1] + tail, after[-1] + 0.5 * slope * tail])
    return np.concatenate([np.array([rising, np.maximum.accumulate(after)]), end[:, None]], 1)
