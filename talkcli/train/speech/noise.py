"""Data augmentation: copies of recordings with the acoustics that users' files have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from talkcli.speech.features import SAMPLE_RATE


def augment(pcm: np.ndarray, voices: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """A copy with one disturbance drawn at random.

    One of: telephone band, telephone codec, AM-radio band, coloured noise, hum, babble, music, a
    room.

    Args:
        pcm: ``[n]`` mono, 16 kHz.
        voices: recordings from which babble is mixed.
        rng: source of every choice.

    Returns:
        ``[n]`` float32 at the same level.
    """
    kind = rng.integers(8)
    if kind == 0:
        return band_limit(pcm, 300.0, 3400.0)
    if kind == 1:
        return telephone(pcm)
    if kind == 2:
        return band_limit(pcm, 50.0, rng.uniform(3000.0, 5500.0))
    if kind == 3:
        return mix(pcm, coloured_noise(len(pcm), rng.uniform(0.0, 2.0), rng), rng.uniform(5, 25))
    if kind == 4:
        return mix(pcm, hum(len(pcm), rng), rng.uniform(0, 20))
    if kind == 5:
        return mix(pcm, babble(len(pcm), voices, rng), rng.uniform(5, 25))
    if kind == 6:
        return mix(pcm, music(len(pcm), rng), rng.uniform(0, 20))
    return reverberate(pcm, rng.uniform(0.2, 0.8), rng)


def telephone(pcm: np.ndarray) -> np.ndarray:
    """300–3400 Hz through 8-bit µ-law (ITU-T G.711), with its quantisation noise."""
    narrow = band_limit(pcm, 300.0, 3400.0)
    peak = max(float(np.abs(narrow).max()), 1e-6)
    folded = np.sign(narrow) * np.log1p(255.0 * np.abs(narrow) / peak) / np.log(256.0)
    steps = np.round(folded * 127.0) / 127.0
    coded = np.sign(steps) * np.expm1(np.abs(steps) * np.log(256.0)) / 255.0 * peak
    return coded.astype(np.float32)


def music(length: int, rng: np.random.Generator) -> np.ndarray:
    """Synthetic music: chords of plucked or held tones over a drum, at a random tempo."""
    seconds = np.arange(length) / SAMPLE_RATE
    beat = rng.uniform(0.25, 0.7)
    out = np.zeros(length)
    held = rng.random() < 0.5
    for start in np.arange(0.0, length / SAMPLE_RATE, beat * rng.integers(1, 5)):
        since = seconds[int(start * SAMPLE_RATE) :] - start
        envelope = np.exp(-since / (2.0 if held else rng.uniform(0.1, 0.5)))
        envelope *= np.minimum(1.0, since / (0.05 if held else 0.005))
        tone = np.zeros(len(since))
        root = 55.0 * 2.0 ** (rng.integers(0, 37) / 12.0)
        for step in rng.choice([0, 3, 4, 7, 10, 12], size=3, replace=False):
            base = root * 2.0 ** (step / 12.0)
            for k in range(1, 7):
                phase = 2.0 * np.pi * (k * base * since + rng.random())
                tone += rng.uniform(0.3, 1.0) / k * np.sin(phase)
        out[len(out) - len(since) :] += tone * envelope
    for start in np.arange(0.0, length / SAMPLE_RATE, beat):
        since = seconds[int(start * SAMPLE_RATE) :] - start
        drum = rng.standard_normal(len(since)) * np.exp(-since / 0.03)
        out[len(out) - len(since) :] += rng.uniform(0.5, 4.0) * drum
    return out


def mix(pcm: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Add noise at a signal-to-noise ratio over the whole recording."""
    signal, other = float(np.mean(pcm**2)), float(np.mean(noise**2))
    scale = np.sqrt(signal / max(other, 1e-12)) * 10.0 ** (-snr_db / 20.0)
    return (pcm + scale * noise).astype(np.float32)


def band_limit(pcm: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """Remove everything outside a band, with edges 5 % wide."""
    spectrum = np.fft.rfft(pcm)
    hertz = np.fft.rfftfreq(len(pcm), 1.0 / SAMPLE_RATE)
    rise = np.clip((hertz - 0.95 * low_hz) / (0.05 * low_hz), 0.0, 1.0)
    fall = np.clip((1.05 * high_hz - hertz) / (0.05 * high_hz), 0.0, 1.0)
    return np.fft.irfft(spectrum * rise * fall, len(pcm)).astype(np.float32)


def coloured_noise(length: int, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Noise whose power falls with frequency as ``f ** -slope`` above 50 Hz."""
    hertz = np.maximum(np.fft.rfftfreq(length, 1.0 / SAMPLE_RATE), 50.0)
    phases = np.exp(2j * np.pi * rng.random(len(hertz)))
    return np.fft.irfft(hertz ** (-slope / 2.0) * phases, length)


def hum(length: int, rng: np.random.Generator) -> np.ndarray:
    """Mains hum: 50 or 60 Hz and its harmonics."""
    seconds = np.arange(length) / SAMPLE_RATE
    base = float(rng.choice([50.0, 60.0]))
    parts = [
        rng.uniform(0.2, 1.0) / k * np.sin(2 * np.pi * (k * base * seconds + rng.random()))
        for k in range(1, 9)
    ]
    return np.sum(parts, axis=0)


def babble(length: int, voices: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Four voices at once, all at the same level."""
    total = np.zeros(length)
    for index in rng.integers(len(voices), size=4):
        voice = np.resize(voices[index], length)
        total += np.roll(voice, int(rng.integers(length))) / (np.std(voice) + 1e-6)
    return total


def reverberate(pcm: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """A room: direct sound and an exponentially decaying noise tail, -60 dB after ``seconds``."""
    tail = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    response = rng.standard_normal(len(tail)) * 10.0 ** (-3.0 * tail / seconds)
    response *= 0.5 / np.sqrt((response**2).sum())
    response[0] += 1.0
    size = len(pcm) + len(response) - 1
    wet = np.fft.irfft(np.fft.rfft(pcm, size) * np.fft.rfft(response, size), size)
    return wet[: len(pcm)].astype(np.float32)
