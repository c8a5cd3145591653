"""Fits the linear speech model and measures it on speakers that it has not seen.

All sums of squares are gathered once per clip; a fold of the cross-validation subtracts its
speakers' share. Means are taken off per clip on both sides, since a clip's own mean holds the
error of its neutral face.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from talkcli.motion.features import FRAME_RATE, LogMelStream, speech_features
from talkcli.motion.speech import FUTURE, N_INPUTS, PAST, SpeechModel, expand, speaking
from talkcli.motion.vad import VoiceGate
from talkcli.train.expression import SPEECH_SHAPES, TrackedSpeech, shape_columns
from talkcli.train.noise import spoil
from talkcli.types import ARKIT_NAMES

FOLDS = 5
MIN_FRAMES = 60  # shorter clips train, but say too little to be scored

#: Taps lie 40 ms apart on inputs smoothed over 16 ms, from 0.20 s before to 0.16 s after.
_STEP = 4
_OFFSETS = np.arange(-20, 17, _STEP)
_SMOOTH = 1.6  # frames
_SMOOTH_REACH = 4  # frames on either side
_TAPER_S = 0.25  # far taps cost more: held-out aperture r +.003
_RIDGE = 1.0  # times the mean square of an input
_SHORT_WEIGHT = 0.3  # news clips of 1.2 s outnumber all others three to one; at 1 width r -.03
_SPOILT_WEIGHT = 0.5
_TYPICAL_STD = 0.4  # cm; standard deviation of lip aperture that counts as amplitude 1
_TYPICAL_FRAMES = 60  # a speaker's amplitude is drawn to 1 as if by this many frames


@dataclass(frozen=True)
class Example:
    """One clip, ready for regression.

    Attributes:
        track: what was measured in it.
        inputs: ``[T, 800]`` smoothed and tapered taps at each frame.
        spoilt: the same from a spoilt copy of the sound, or None.
        amplitude: of the speaker, 1 is typical.
        gate: ``[T]`` voice activity at each frame, 0–1, as at run time.
        loud: ``[T]`` bool, frames that the voice is learnt from at run time.
    """

    track: TrackedSpeech
    inputs: np.ndarray
    spoilt: np.ndarray | None
    amplitude: float
    gate: np.ndarray
    loud: np.ndarray

    @property
    def speaking(self) -> np.ndarray:
        """``[T]`` bool, frames that can be trusted and in which somebody speaks."""
        return self.track.valid & (self.gate > 0.5)

    @property
    def scored(self) -> bool:
        """Whether the clip is long enough to count in a score."""
        return int(self.track.valid.sum()) >= MIN_FRAMES


@dataclass(frozen=True)
class Sums:
    """Sums over frames, enough to solve a ridge regression."""

    xx: np.ndarray
    xy: np.ndarray

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.xx + other.xx, self.xy + other.xy)


def make_examples(tracks: Sequence[TrackedSpeech], seed: int = 0) -> list[Example]:
    """Features of every clip and of one spoilt copy each."""
    rng = np.random.default_rng(seed)
    voices = [track.clip.pcm for track in tracks]
    amplitudes = speaker_amplitudes(tracks)
    examples = []
    for track in tracks:
        noisy = spoil(track.clip.pcm, voices, rng)
        examples.append(
            Example(
                track=track,
                inputs=frame_inputs(track.clip.pcm, track.clip.speech_times),
                spoilt=frame_inputs(noisy, track.clip.speech_times),
                amplitude=amplitudes[track.clip.speaker],
                gate=frame_gate(track.clip.pcm, track.clip.speech_times),
                loud=frame_loudness(track.clip.pcm, track.clip.speech_times),
            )
        )
    return examples


def frame_inputs(pcm: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Regression inputs ``[T, 800]`` float32 of a recording at the given seconds."""
    inputs = expand(speech_features(pcm))
    smooth = gaussian_filter1d(inputs, _SMOOTH, axis=0, radius=_SMOOTH_REACH, mode="nearest")
    columns = []
    for offset in _OFFSETS:
        position = np.clip(times * FRAME_RATE + offset, 0, len(smooth) - 1.001)
        first = position.astype(int)
        share = (position - first)[:, None]
        columns.append((smooth[first] * (1 - share) + smooth[first + 1] * share) * _taper(offset))
    return np.concatenate(columns, 1).astype(np.float32)


def frame_gate(pcm: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Voice activity ``[T]`` of a recording at the given seconds, 0–1."""
    mel, voice = LogMelStream(), VoiceGate()
    gate = [voice.push(mel.push(pcm)), voice.push(mel.finish()), voice.finish()]
    joined = np.concatenate(gate)
    return np.interp(times * FRAME_RATE, np.arange(len(joined)), joined)


def frame_loudness(pcm: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Which of the given seconds hold a loud sound: ``[T]`` bool."""
    loud = speaking(expand(speech_features(pcm)))
    return loud[np.clip(np.round(times * FRAME_RATE).astype(int), 0, len(loud) - 1)]


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


def speaker_folds(examples: Sequence[Example], count: int = FOLDS) -> dict[str, int]:
    """Speakers dealt to folds of about equal length, the longest first."""
    frames: dict[str, int] = {}
    for example in examples:
        speaker = example.track.clip.speaker
        frames[speaker] = frames.get(speaker, 0) + len(example.track.valid)
    totals = np.zeros(count)
    folds = {}
    for speaker in sorted(frames, key=lambda s: (-frames[s], s)):
        folds[speaker] = int(totals.argmin())
        totals[folds[speaker]] += frames[speaker]
    return folds


def gather(examples: Sequence[Example]) -> Sums:
    """Sums of squares of some clips, each with its means taken off."""
    size = len(_OFFSETS) * N_INPUTS
    xx, xy = np.zeros((size, size)), np.zeros((size, len(SPEECH_SHAPES)))
    for example in examples:
        valid = example.track.valid
        target = example.track.weights[valid] / example.amplitude
        target = target - target.mean(0)
        weight = 1.0 if example.scored else _SHORT_WEIGHT
        for inputs, share in ((example.inputs, 1.0), (example.spoilt, _SPOILT_WEIGHT)):
            if inputs is None:
                continue
            centred = inputs[valid] - inputs[valid].mean(0)
            xx += weight * share * (centred.T @ centred)
            xy += weight * share * (centred.T @ target)
    return Sums(xx, xy)


def solve(sums: Sums) -> np.ndarray:
    """Ridge coefficients ``[800, 15]``."""
    strength = _RIDGE * np.diag(sums.xx).mean()
    return np.linalg.solve(sums.xx + strength * np.eye(len(sums.xx)), sums.xy)


def cross_validate(
    examples: Sequence[Example], report: Callable[[str], None] | None = None
) -> dict[int, np.ndarray]:
    """Held-out deviations from the mean weights: ``[T, 15]`` by index of each scored clip."""
    folds = speaker_folds(examples)
    members: Mapping[int, list[int]] = {k: [] for k in range(FOLDS)}
    for index, example in enumerate(examples):
        members[folds[example.track.clip.speaker]].append(index)
    sums = {k: gather([examples[i] for i in indices]) for k, indices in members.items()}
    predictions = {}
    for fold, indices in members.items():
        others = [sums[k] for k in sums if k != fold]
        coefficients = solve(sum(others[1:], others[0]))
        mean = mean_speech([e for e in examples if folds[e.track.clip.speaker] != fold])[1]
        for i in indices:
            if examples[i].scored:
                predictions[i] = (examples[i].inputs - mean) @ coefficients
        if report is not None:
            report(f"fold {fold + 1} of {FOLDS}: {len(indices)} clips held out")
    return predictions


def fit(examples: Sequence[Example], aperture: np.ndarray, spread: float) -> SpeechModel:
    """The model from all clips, without restoration of amplitude (gain 1, straight curve).

    Args:
        examples: everything to learn from.
        aperture: ``[52]`` lip aperture of every shape at weight 1, cm.
        spread: typical standard deviation of held-out apertures, cm.
    """
    coefficients = solve(gather(examples))
    mean_weights, mean_inputs = mean_speech(examples)
    return SpeechModel(
        kernel=spread_shapes(fold_kernel(coefficients)).astype(np.float32),
        bias=spread_shapes(-mean_inputs @ coefficients).astype(np.float32),
        mean=spread_shapes(mean_weights).astype(np.float32),
        spread=spread,
        gain=1.0,
        aperture=aperture.astype(np.float32),
        curve=np.array([[-10.0, 10.0], [-10.0, 10.0]], np.float32),
    )


def mean_speech(examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
    """Mean weights ``[15]`` (at amplitude 1) and inputs ``[800]`` while the scored clips speak."""
    scored = [example for example in examples if example.scored]
    weights = [e.track.weights[e.speaking] / e.amplitude for e in scored]
    inputs = [e.inputs[e.speaking] for e in scored]
    return np.concatenate(weights).mean(0), np.concatenate(inputs).mean(0)


def fold_kernel(coefficients: np.ndarray) -> np.ndarray:
    """Smoothing, taper and coefficients as one filter: ``[45, 80, 15]``."""
    taps = np.arange(-_SMOOTH_REACH, _SMOOTH_REACH + 1)
    smooth = np.exp(-0.5 * (taps / _SMOOTH) ** 2)
    smooth /= smooth.sum()
    kernel = np.zeros((PAST + 1 + FUTURE, N_INPUTS, coefficients.shape[1]))
    for block, offset in enumerate(_OFFSETS):
        part = coefficients[block * N_INPUTS : (block + 1) * N_INPUTS] * _taper(offset)
        for tap, share in zip(taps, smooth, strict=True):
            kernel[PAST + offset + tap] += share * part
    return kernel


def spread_shapes(values: np.ndarray) -> np.ndarray:
    """``[..., 15]`` of ``SPEECH_SHAPES`` to ``[..., 52]`` of ``ARKIT_NAMES``, both sides alike."""
    full = np.zeros((*values.shape[:-1], len(ARKIT_NAMES)))
    for k, name in enumerate(SPEECH_SHAPES):
        full[..., shape_columns(name)] = values[..., k : k + 1]
    return full


def _taper(offset: int) -> float:
    return float(np.exp(-abs(offset) / FRAME_RATE / _TAPER_S))
