"""Voices are kept beside the avatar, and only as what they can be."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.engines.audio_plane.voices import packed, predicted, unpacked
from talkcli.motion.voice import VoiceMap
from talkcli.speech.model import WEIGHTS


def some_voice() -> VoiceMap:
    opening = np.full(52, 0.5, np.float32)
    return VoiceMap(np.eye(52, dtype=np.float32), np.zeros(52, np.float32), opening, 1.1, 0.2, 0.1)


def test_packed_and_unpacked_it_is_the_same() -> None:
    (again,) = unpacked(packed({WEIGHTS[0]: some_voice()})).values()
    weights = np.linspace(0, 0.5, 52)
    np.testing.assert_allclose(again(weights), some_voice()(weights), atol=1e-6)


def test_without_voices_there_are_none() -> None:
    assert unpacked({"offsets.index": np.zeros(3)}) == {}


@pytest.mark.parametrize("name", ["weight", "bias", "opening", "numbers"])
def test_a_missing_or_misshapen_array_is_told_of(name: str) -> None:
    tensors = packed({WEIGHTS[0]: some_voice()})
    key = f"voice.{WEIGHTS[0]}.{name}"
    with pytest.raises(ValueError, match="has the arrays"):
        unpacked({other: array for other, array in tensors.items() if other != key})
    with pytest.raises(ValueError, match="has the arrays"):
        unpacked(tensors | {key: tensors[key][..., :-1]})


def test_a_jaw_that_opens_nothing_is_told_of() -> None:
    tensors = packed({WEIGHTS[0]: some_voice()})
    with pytest.raises(ValueError, match="opens nothing"):
        unpacked(tensors | {f"voice.{WEIGHTS[0]}.opening": np.zeros(52, np.float32)})


def test_predictions_are_row_for_row() -> None:
    features = np.random.default_rng(0).normal(size=(230, 80)).astype(np.float32)
    assert predicted(features, WEIGHTS[0]).shape == (230, 52)
