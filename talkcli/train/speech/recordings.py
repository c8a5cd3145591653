"""Recordings of speech without video, which the teachers label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.signal import fftconvolve, resample_poly

from talkcli.speech.features import N_MELS, NAT_PER_DB, SAMPLE_RATE
from talkcli.train.speech.batches import log_mel

FOLDER = "speech"
_ENDINGS = (".flac", ".mp3", ".wav", ".m4a", ".ogg")
_PIECE, _PAUSE_S = 26 * SAMPLE_RATE, (0.1, 0.5)
_SPEED = 0.25  # largest change of the logarithm of the speed
_LEVELS, _SILENT = (0.2, 0.8), 0.02  # peaks: of the result, and of what counts as silence
# A recording that correlates this well with 2 s of a clip holds that clip's sound. Unrelated speech
# reaches .60; softer and noisier copies reach .95.
_SAME, _PROBE, _BANDS = 0.8, 200, 20
_FLOOR = 30.0 * NAT_PER_DB  # below the peak; anything softer differs between copies


def load_recordings(data: Path, known: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The sound files in ``data / "speech"``, mono at 16 kHz, if there is such a folder.

    Args:
        data: folder of clips.
        known: raw log-mel ``[F, 80]`` of the scored clips; recordings of the same sound are left
            out, so that no held-out speaker is learnt.

    Raises:
        InputError: a file cannot be read.
    """
    from talkcli.media.audio import stream_pcm

    found = []
    for path in sorted((data / FOLDER).glob("*")):
        if path.suffix.lower() in _ENDINGS:
            pcm = np.concatenate([np.zeros(0, np.float32), *stream_pcm(path)])
            mel = log_mel(pcm)
            if not any(same_sound(mel, clip) for clip in known):
                found.append(pcm)
    return found


def other_voices(sounds: Sequence[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """The same speech, shuffled, each sound played faster or slower and so in another voice.

    Args:
        sounds: ``[n]`` mono at 16 kHz each.
        rng: source of order, speeds and levels.

    Returns:
        Pieces of about half a minute.
    """
    pieces: list[np.ndarray] = []
    waiting: list[np.ndarray] = []
    for index in rng.permutation(len(sounds)):
        pcm = sounds[int(index)]
        speed = float(np.exp(rng.uniform(-_SPEED, _SPEED)))
        loud = max(float(np.abs(pcm).max(initial=0.0)), _SILENT)
        changed = resample_poly(pcm, round(100 / speed), 100) * (rng.uniform(*_LEVELS) / loud)
        pause = np.zeros(int(SAMPLE_RATE * rng.uniform(*_PAUSE_S)))
        waiting += [changed.astype(np.float32), pause.astype(np.float32)]
        if sum(map(len, waiting)) > _PIECE:
            pieces.append(np.concatenate(waiting))
            waiting = []
    return pieces + ([np.concatenate(waiting)] if waiting else [])


def same_sound(recording: np.ndarray, clip: np.ndarray) -> bool:
    """Whether a recording contains the middle 2 s of a clip, at any level.

    Args:
        recording: ``[F, 80]`` raw log-mel.
        clip: likewise.
    """
    middle = max(len(clip) - _PROBE, 0) // 2
    probe, whole = _bands(clip[middle : middle + _PROBE]), _bands(recording)
    if len(whole) < len(probe):
        return False
    probe = probe - probe.mean(0)
    length = len(probe)
    matched = sum(fftconvolve(whole[:, k], probe[::-1, k], "valid") for k in range(_BANDS))
    sums = np.cumsum(np.pad(whole, ((1, 0), (0, 0))), axis=0)
    squares = np.cumsum(np.pad(whole**2, ((1, 0), (0, 0))), axis=0)
    spread = squares[length:] - squares[:-length] - (sums[length:] - sums[:-length]) ** 2 / length
    size = np.sqrt(np.maximum(spread.sum(1), 1e-6) * (probe**2).sum() + 1e-6)
    return bool((matched / size).max() > _SAME)


def _bands(mel: np.ndarray) -> np.ndarray:
    mel = np.maximum(mel, mel.max() - _FLOOR)
    return mel.reshape(len(mel), _BANDS, N_MELS // _BANDS).mean(2).astype(np.float64)
