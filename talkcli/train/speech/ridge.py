"""Ridge regression from sound to lips: the baseline for the network.

Sums of products are gathered once per fold; each held-out fold is predicted from the sums of the
others. Inputs and targets are centred per clip, since a clip's mean holds the error of its neutral
face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from talkcli.speech.features import FRAME_RATE, N_MELS
from talkcli.train.expression import SPEECH_SHAPES, TrackedSpeech
from talkcli.train.speech.batches import TrainingExample, normalised
from talkcli.train.speech.speakers import FOLDS, is_scored

#: Taps lie 40 ms apart on inputs smoothed over 16 ms, from 0.20 s before to 0.16 s after.
_OFFSETS = np.arange(-20, 17, 4)
_SMOOTH, _SMOOTH_REACH = 1.6, 4  # frames
_TAPER_S = 0.25  # damps distant taps: held-out aperture r +.003
_RIDGE = 1.0  # times the mean square of an input
_SHORT_WEIGHT = 0.3  # news clips of 1.2 s outnumber all others three to one; at 1 width r -.03
_AUGMENTED_WEIGHT = 0.5


@dataclass(frozen=True)
class _Sums:
    xx: np.ndarray
    xy: np.ndarray

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(self.xx + other.xx, self.xy + other.xy)


def frame_inputs(features: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Regression inputs ``[T, 800]`` float32.

    Forty pooled bands, and the same bands clipped at zero: with separate slopes below and above the
    mean, held-out aperture r rises from .495 to .507.

    Args:
        features: ``[F, 80]`` normalised.
        positions: ``[T]`` feature frame of each video frame.
    """
    pooled = features.reshape(len(features), N_MELS // 2, 2).mean(-1)
    inputs = np.concatenate([pooled, np.maximum(pooled, 0.0)], -1).astype(np.float32)
    smooth = gaussian_filter1d(inputs, _SMOOTH, axis=0, radius=_SMOOTH_REACH, mode="nearest")
    columns = []
    for offset in _OFFSETS:
        position = np.clip(positions + offset, 0, len(smooth) - 1.001)
        first = position.astype(int)
        share = (position - first)[:, None]
        taper = float(np.exp(-abs(offset) / FRAME_RATE / _TAPER_S))
        columns.append((smooth[first] * (1 - share) + smooth[first + 1] * share) * taper)
    return np.concatenate(columns, 1).astype(np.float32)


def cross_validate(
    tracks: Sequence[TrackedSpeech], examples: Sequence[TrainingExample], folds: Sequence[int]
) -> dict[int, np.ndarray]:
    """Held-out weights minus their mean, ``[T, 15]`` by index of the scored clip."""
    members: dict[int, list[int]] = {k: [] for k in range(FOLDS)}
    for index, fold in enumerate(folds):
        members[fold].append(index)
    sums = {k: _gather([examples[i] for i in part], [tracks[i] for i in part])
            for k, part in members.items()}  # fmt: skip
    predictions = {}
    for fold, indices in members.items():
        others = [sums[k] for k in sums if k != fold]
        coefficients = _solve(sum(others[1:], others[0]))
        for i in indices:
            if is_scored(tracks[i]):
                inputs = frame_inputs(normalised(examples[i].mels[0]), examples[i].positions)
                predictions[i] = (inputs - inputs.mean(0)) @ coefficients
    return predictions


def _gather(examples: Sequence[TrainingExample], tracks: Sequence[TrackedSpeech]) -> _Sums:
    size = len(_OFFSETS) * N_MELS
    xx, xy = np.zeros((size, size)), np.zeros((size, len(SPEECH_SHAPES)))
    for example, track in zip(examples, tracks, strict=True):
        valid = track.valid
        target = example.weights[valid] - example.weights[valid].mean(0)
        weight = 1.0 if is_scored(track) else _SHORT_WEIGHT
        for mel, share in ((example.mels[0], 1.0), (example.mels[1], _AUGMENTED_WEIGHT)):
            inputs = frame_inputs(normalised(mel), example.positions)[valid]
            centred = inputs - inputs.mean(0)
            xx += weight * share * (centred.T @ centred)
            xy += weight * share * (centred.T @ target)
    return _Sums(xx, xy)


def _solve(sums: _Sums) -> np.ndarray:
    """Ridge coefficients ``[800, 15]``."""
    strength = _RIDGE * np.diag(sums.xx).mean()
    return np.linalg.solve(sums.xx + strength * np.eye(len(sums.xx)), sums.xy)
