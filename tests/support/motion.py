"""Sounds for the motion tests: the project's own sample sentence, and made noises."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from talkcli.media.audio import stream_pcm

RATE = 16000


@lru_cache(maxsize=1)
def sentence() -> np.ndarray:
    """The sample sentence, trimmed to where it sounds, peak 0.5; ``[n]`` float32."""
    pcm = np.concatenate(list(stream_pcm(Path(__file__).parents[2] / "assets" / "speech.wav")))
    sounding = np.flatnonzero(np.abs(pcm) > 0.01 * np.abs(pcm).max())
    pcm = pcm[sounding[0] : sounding[-1] + 1]
    return (0.5 * pcm / np.abs(pcm).max()).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), np.float32)


def white_noise(seconds: float, level_db: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(round(seconds * RATE)) * 10 ** (level_db / 20)
    return noise.astype(np.float32)


def hum(seconds: float, level_db: float) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * 50 * k * t + k) / k for k in range(1, 8))
    return (wave * 10 ** (level_db / 20)).astype(np.float32)


def blocks(pcm: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]
