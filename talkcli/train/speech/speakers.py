"""Folds that hold speakers out, and how widely each speaker moves the lips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from talkcli.train.expression import TrackedSpeech

FOLDS = 5
MIN_FRAMES = 60  # shorter clips are trained on but not scored

_TYPICAL_STD = 0.4  # cm; standard deviation of lip aperture that counts as amplitude 1
_TYPICAL_FRAMES = 60  # weight of the prior: amplitudes are drawn to 1 as by this many frames


def is_scored(track: TrackedSpeech) -> bool:
    """Whether the clip is long enough to be scored."""
    return int(track.valid.sum()) >= MIN_FRAMES


def speaker_amplitudes(tracks: Sequence[TrackedSpeech]) -> dict[str, float]:
    """How widely each speaker opens the lips, relative to a typical one."""
    parts: dict[str, list[tuple[float, int]]] = {}
    for track in tracks:
        spread = float(track.aperture[track.valid].std())
        parts.setdefault(track.clip.speaker, []).append((spread, int(track.valid.sum())))
    amplitudes = {}
    for speaker, values in parts.items():
        frames = sum(n for _, n in values)
        total = sum(spread * n for spread, n in values) + _TYPICAL_STD * _TYPICAL_FRAMES
        amplitudes[speaker] = total / (frames + _TYPICAL_FRAMES) / _TYPICAL_STD
    return amplitudes


def speaker_folds(tracks: Sequence[TrackedSpeech], count: int = FOLDS) -> dict[str, int]:
    """The fold of every speaker: dealt out longest first, so that folds are about equally long."""
    frames: dict[str, int] = {}
    for track in tracks:
        speaker = track.clip.speaker
        frames[speaker] = frames.get(speaker, 0) + len(track.valid)
    totals = np.zeros(count)
    folds = {}
    for speaker in sorted(frames, key=lambda s: (-frames[s], s)):
        folds[speaker] = int(totals.argmin())
        totals[folds[speaker]] += frames[speaker]
    return folds
