"""Features of sound: the same in a stream, hardly dependent on level, bounded in memory."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.errors import InputError
from talkcli.speech.features import (
    HOP,
    NAT_PER_DB,
    LevelNormaliser,
    LogMelStream,
    follow_levels,
    frame_energy,
    mel_centres,
    speech_features,
)
from tests.support.memory import held_bytes
from tests.support.motion import RATE, blocks, sentence, silence, white_noise


def streamed(pcm: np.ndarray, size: int) -> np.ndarray:
    mel, normaliser = LogMelStream(), LevelNormaliser()
    parts = [normaliser.push(mel.push(block)) for block in blocks(pcm, size)]
    parts += [normaliser.push(mel.finish()), normaliser.finish()]
    return np.concatenate(parts)


def log_mel(pcm: np.ndarray) -> np.ndarray:
    mel = LogMelStream()
    return np.concatenate([mel.push(pcm), mel.finish()])


@pytest.mark.parametrize("size", [53, HOP, 1000, 16000])
def test_streamed_features_are_the_offline_ones(size: int) -> None:
    pcm = sentence()[: 2 * RATE]
    whole = speech_features(pcm)
    assert whole.shape == (1 + len(pcm) // HOP, 80)
    np.testing.assert_allclose(streamed(pcm, size), whole, atol=1e-4)


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 1600])
def test_very_short_sounds_have_features(samples: int) -> None:
    features = speech_features(sentence()[:samples])
    assert features.shape == (1 + samples // HOP, 80)
    assert np.isfinite(features).all()


def test_zero_is_a_full_scale_mean_square() -> None:
    level = log_mel(white_noise(4.0, 0.0))[5:-5]
    # The mean of a band over 4 s of noise scatters by 0.6 dB; the log of the mean is unbiased.
    # Chance over four seconds: .74 dB in the worst of 80 bands.
    assert np.abs(np.log(np.exp(level).mean(0)) / NAT_PER_DB).max() < 1.0
    assert abs(frame_energy(level).mean() / NAT_PER_DB) < 0.12  # .072


def test_a_tone_lands_in_its_band() -> None:
    for hertz in (100.0, 440.0, 1000.0, 5000.0):
        tone = np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE).astype(np.float32)
        band = log_mel(tone)[50].argmax()
        assert abs(int(band) - int(np.abs(mel_centres() - hertz).argmin())) <= 1


def test_frames_are_centred_on_their_time() -> None:
    click = silence(1.0)
    click[RATE // 2] = 1.0
    energy = frame_energy(log_mel(click))
    assert energy.argmax() == 50
    np.testing.assert_allclose(energy[49], energy[51], atol=0.1)


@pytest.mark.parametrize("gain_db", [-40.0, -20.0, 6.0])
def test_level_hardly_matters_after_the_first_seconds(gain_db: float) -> None:
    pcm = np.tile(sentence(), 3)
    loud = speech_features(pcm)
    soft = speech_features(pcm * np.float32(10 ** (gain_db / 20)))
    late = slice(800, None)
    # 40 dB are 9.2 nat, 4.2 units of the features: all but .20 are gone after eight seconds.
    assert np.abs(loud[late] - soft[late]).mean() < 0.25


def test_memory_is_bounded() -> None:
    mel, normaliser = LogMelStream(), LevelNormaliser()
    held = []
    for block in blocks(np.tile(sentence(), 10), 4000):
        normaliser.push(mel.push(block))
        held.append(held_bytes((mel, normaliser)))
    # Less than a window and a hop of samples, eight frames, and tables of one frame each.
    assert max(held) <= 8 * ((400 + HOP) + 8 * 80 + 2 * 80 + 16)
    assert max(held[5:]) == max(held[-5:])


def test_normaliser_kernel_agrees_with_plain_python() -> None:
    raw = np.random.default_rng(0).normal(-8.0, 4.0, (400, 80))
    states = [np.array([-9.0, -27.0, 0.0]) for _ in range(2)]
    slow, fast = np.empty(len(raw)), np.empty(len(raw))
    follow_levels.py_func(raw, states[0], slow)
    follow_levels(raw, states[1], fast)
    np.testing.assert_allclose(fast, slow, rtol=1e-9)
    np.testing.assert_allclose(states[1], states[0])


def test_silence_stays_finite() -> None:
    assert np.isfinite(speech_features(silence(1.0))).all()


def test_refuses_what_is_not_one_channel_of_numbers() -> None:
    with pytest.raises(InputError, match="one channel"):
        LogMelStream().push(np.zeros((2, 100), np.float32))
    with pytest.raises(InputError, match="not finite numbers"):
        LogMelStream().push(np.array([0.0, np.nan], np.float32))
