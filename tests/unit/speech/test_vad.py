from __future__ import annotations

import numpy as np
import pytest

from talkcli.speech.features import LogMelStream
from talkcli.speech.vad import DELAY, VoiceGate
from talkcli.train.speech.noise import band_limit, coloured_noise, mix
from tests.support.motion import blocks, hum, sentence, silence, white_noise


def gate(pcm: np.ndarray, size: int = 10**6) -> np.ndarray:
    mel, voice = LogMelStream(), VoiceGate()
    parts = [voice.push(part) for part in blocks(mel.push(pcm), size)]
    values = np.concatenate([*parts, voice.push(mel.finish()), voice.finish()])
    assert len(values) == 1 + len(pcm) // 160
    assert values.min() >= 0.0
    assert values.max() <= 1.0 + 1e-9
    return values


def sounding(pcm: np.ndarray) -> np.ndarray:
    """Frames of a clean recording within 20 dB of its loudest ones."""
    power = np.convolve(pcm**2, np.ones(400) / 400, "same")[::160]
    return power > 0.01 * np.quantile(power, 0.98)


@pytest.mark.parametrize("size", [1, 49, 50, 130])
def test_block_size_does_not_matter(size: int) -> None:
    pcm = np.concatenate([silence(0.3), sentence()[:32000], white_noise(0.6, -50.0)])
    np.testing.assert_allclose(gate(pcm, size), gate(pcm), atol=1e-12)


@pytest.mark.parametrize("level_db", [-60.0, -30.0, -10.0])
@pytest.mark.parametrize("kind", ["white", "pink", "brown", "hum", "nothing"])
def test_steady_sounds_are_not_speech(kind: str, level_db: float) -> None:
    rng = np.random.default_rng(3)
    if kind == "hum":
        pcm = hum(5.0, level_db)
    elif kind == "nothing":
        pcm = silence(5.0)
    else:
        noise = coloured_noise(80000, {"white": 0.0, "pink": 1.0, "brown": 2.0}[kind], rng)
        pcm = (noise / noise.std() * 10 ** (level_db / 20)).astype(np.float32)
    assert gate(pcm).max() == 0.0


@pytest.mark.parametrize("gain_db", [-40.0, -20.0, 0.0, 6.0])
def test_speech_of_any_level_opens_the_gate(gain_db: float) -> None:
    pcm = np.concatenate([silence(0.2), sentence(), silence(0.5)])
    opened = gate(pcm * np.float32(10 ** (gain_db / 20))) > 0.5
    assert opened[sounding(pcm)[: len(opened)]].mean() > 0.98


@pytest.mark.parametrize("spoilt", ["telephone", "noise", "hum"])
def test_speech_in_bad_recordings_opens_the_gate(spoilt: str) -> None:
    pcm = np.concatenate([silence(1.0), sentence(), silence(1.0)])
    if spoilt == "telephone":
        heard = band_limit(pcm, 300.0, 3400.0)
    elif spoilt == "noise":
        heard = mix(pcm, white_noise(len(pcm) / 16000, 0.0), 20.0)[: len(pcm)]
    else:
        heard = pcm + hum(len(pcm) / 16000, -20.0)[: len(pcm)]
    values = gate(heard)
    assert (values > 0.5)[sounding(pcm)[: len(values)]].mean() > 0.95
    assert values[:80].max() == 0.0
    assert values[-60:].max() == 0.0


def test_pauses_shut_and_gaps_do_not() -> None:
    for seconds, shut in ((0.35, True), (0.12, False)):
        pcm = np.concatenate([sentence()[:16000], silence(seconds), sentence()[8000:24000]])
        pause = gate(pcm)[100 : 100 + round(100 * seconds)]
        assert (pause.min() == 0.0) == shut


def test_pauses_in_a_noisy_room_shut() -> None:
    pcm = np.concatenate([sentence(), silence(1.0), sentence()])
    values = gate(pcm + white_noise(len(pcm) / 16000, -45.0)[: len(pcm)])
    start = len(sentence()) // 160
    assert values[start + 25 : start + 75].max() == 0.0


def test_a_click_is_not_speech() -> None:
    pcm = white_noise(3.0, -70.0)
    pcm[24000:24160] += white_noise(0.01, -10.0)
    assert gate(pcm).max() == 0.0


def test_the_gate_moves_softly() -> None:
    pcm = np.concatenate([silence(1.0), sentence(), silence(1.0)])
    # A raised cosine over 0.11 s climbs by at most 0.17 in 10 ms.
    assert np.abs(np.diff(gate(pcm))).max() < 0.18


def test_it_opens_before_the_sound() -> None:
    pcm = np.concatenate([silence(1.0), sentence()])
    assert gate(pcm)[97] > 0.5


def test_look_ahead_is_at_most_three_tenths_of_a_second() -> None:
    assert DELAY / 100 + 0.0125 <= 0.3
    pcm = np.concatenate([silence(0.5), sentence()[:32000]])
    changed = pcm.copy()
    changed[24000:] = white_noise(1.0, -3.0)[: len(changed) - 24000]
    np.testing.assert_allclose(gate(pcm)[:120], gate(changed)[:120], atol=1e-12)
