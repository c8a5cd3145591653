"""The person's own lips for every shipped speech model: learnt from a prepared clip, and kept."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.files.tensors import Tensors
from talkcli.layers.clip import SPEECH_HZ, PreparedClip
from talkcli.motion.voice import VoiceMap, learn_voice
from talkcli.shapes import Float32, Integer
from talkcli.speech.model import WEIGHTS, load_speech_model, weights_path
from talkcli.types import ARKIT_NAMES

#: With less speech than this, seconds, nothing is learnt of it.
_LEAST_SPEECH_S = 3.0
#: A jaw opens the lips by some 2 cm.
_LEAST_OPENING = 0.1
_JAW = ARKIT_NAMES.index("jawOpen")
_NUMBERS = ("gain", "offset", "rest")


def learn_voices(
    clip: PreparedClip, avatar: PortraitAvatar, fitted: Integer[np.ndarray, " n"]
) -> dict[str, VoiceMap]:
    """Learn how the lips of the person in a clip follow speech.

    Args:
        clip: the clip.
        avatar: of its best frame, for the person's face.
        fitted: numbers of the frames that may be learnt from.

    Returns:
        By the name of the speech model; empty without sound, or with too little.
    """
    if clip.speech is None or len(fitted) < _LEAST_SPEECH_S * clip.fps:
        return {}
    face = avatar.vertices + avatar.neutral_shift
    seen = clip.curves.expression[fitted]
    voices = {}
    for name in WEIGHTS:
        asked = predicted(clip.speech, name)
        rows = np.round(clip.curves.times[fitted] * SPEECH_HZ).astype(int)
        voices[name] = learn_voice(asked[rows.clip(0, len(asked) - 1)], seen, avatar.basis, face)
    return voices


def predicted(features: Float32[np.ndarray, "k 80"], model: str) -> Float32[np.ndarray, "k 52"]:
    """``[k, 52]`` what a speech model asks of the face, row for row."""
    stream = load_speech_model(weights_path(model)).stream()
    return np.concatenate([stream.push(features).weights, stream.finish().weights])


def packed(voices: Mapping[str, VoiceMap]) -> Tensors:
    """The maps as named arrays."""
    tensors: Tensors = {}
    for name, voice in voices.items():
        numbers = [getattr(voice, number) for number in _NUMBERS]
        tensors |= {
            f"voice.{name}.weight": voice.weight,
            f"voice.{name}.bias": voice.bias,
            f"voice.{name}.opening": voice.opening,
            f"voice.{name}.numbers": np.array(numbers, np.float32),
        }
    return tensors


def unpacked(tensors: Tensors) -> dict[str, VoiceMap]:
    """The inverse of :func:`packed`; arrays of other names are left alone.

    Raises:
        ValueError: an array is missing or has another shape.
    """
    voices = {}
    for name in WEIGHTS:
        own = {
            key.rpartition(".")[2]: array
            for key, array in tensors.items()
            if key.startswith(f"voice.{name}.")
        }
        if not own:
            continue
        shapes = {key: array.shape for key, array in own.items()}
        if shapes != {"weight": (52, 52), "bias": (52,), "opening": (52,), "numbers": (3,)}:
            raise ValueError(f"voice.{name} has the arrays {shapes}")
        if abs(float(own["opening"][_JAW])) < _LEAST_OPENING:
            raise ValueError(f"voice.{name} has a jaw that opens nothing")
        gain, offset, rest = (float(number) for number in own["numbers"])
        voices[name] = VoiceMap(own["weight"], own["bias"], own["opening"], gain, offset, rest)
    return voices
