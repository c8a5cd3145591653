"""Distillation: before it sees any lips, the network learns to imitate a large speech encoder.

A few minutes of lips on video do not teach a network what speech is. Hours of sound do: from the
little context a stream has, it learns to predict the hidden states of an encoder that was trained
on far more (distillation: Hinton et al. 2015; of hidden states: Romero et al. 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from talkcli.speech.features import N_MELS
from talkcli.speech.network import SUBFRAMES
from talkcli.train.speech.batches import ROW, add_noise, log_mel, normalised, over_bands
from talkcli.train.speech.encoder_features import COMPONENTS
from talkcli.train.speech.network import LipNet
from talkcli.train.speech.optimise import Report, optimise

_CLEAN = 0.35  # share of the rows that are neither noisy nor augmented
_EQUALISER = 0.25, 6  # deviation of a random curve over the bands, in units of a feature; knots
_LEAST = 55  # encoder frames; shorter sounds are skipped


@dataclass(frozen=True)
class Sound:
    """A sound and its encoder features.

    Attributes:
        mels: raw log-mel ``[F, 80]`` float16 of the clean sound, then of noisy and augmented
            copies.
        encoded: ``[T, 192]`` float16 encoder features, 50 per second.
        share: how often it is drawn, relative to its length.
    """

    mels: tuple[np.ndarray, ...]
    encoded: np.ndarray
    share: float = 1.0


@dataclass(frozen=True)
class DistillationSettings:
    """How the network is distilled from the encoder.

    Attributes:
        steps: optimiser steps.
        rows: rows in a batch, 3 s each.
        rate: peak learning rate.
    """

    steps: int = 8000
    rows: int = 24
    rate: float = 2e-3


class _Imitator(nn.Module):
    """The network with a head that predicts encoder features; the head is dropped afterwards."""

    def __init__(self, net: LipNet) -> None:
        super().__init__()
        self.net = net
        self.head = nn.Linear(net.layout.width, SUBFRAMES * COMPONENTS)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """``[B, T, 80]`` to ``[B, T / 2, 192]``."""
        return self.head(self.net.hidden(features)).reshape(len(features), -1, COMPONENTS)


def make_sound(
    pcm: np.ndarray,
    encoded: np.ndarray,
    augmented: Sequence[np.ndarray],
    rng: np.random.Generator,
    share: float = 1.0,
) -> Sound:
    """A sound with one noisy copy and the given augmented ones.

    Args:
        pcm: ``[n]`` clean, mono, 16 kHz.
        encoded: ``[T, 192]`` encoder features of the clean sound.
        augmented: ``[n]`` copies with other acoustics.
        rng: source of the noise.
        share: how often it is drawn, relative to its length.
    """
    clean = log_mel(pcm)
    mels = (clean, add_noise(clean, rng), *map(log_mel, augmented))
    return Sound(tuple(mel.astype(np.float16) for mel in mels), encoded, share)


def distil(
    net: LipNet,
    sounds: Sequence[Sound],
    settings: DistillationSettings,
    seed: int,
    report: Report | None = None,
) -> LipNet:
    """Train a network to predict encoder features from log-mel.

    Args:
        net: starting point; changed in place.
        sounds: training data.
        settings: batches and learning rate.
        seed: of the batches.
        report: called with the loss every 500 steps: squared error relative to the mean square of
            the encoder features.

    Returns:
        The network with the moving average of its weights.
    """
    torch.manual_seed(seed)
    batches = _Batches(sounds, np.random.default_rng(seed))
    learner = _Imitator(net)

    def loss() -> torch.Tensor:
        features, encoded, known = batches.draw(settings.rows)
        error = ((learner(features) - encoded) * known).square().sum()
        return error / (encoded * known).square().sum()

    averaged = optimise(learner, loss, settings.steps, settings.rate, report)
    net.load_state_dict(averaged.net.state_dict())
    return net.eval()


class _Batches:
    def __init__(self, sounds: Sequence[Sound], rng: np.random.Generator) -> None:
        self._rng = rng
        self._sounds = [sound for sound in sounds if _length(sound) > _LEAST]
        self._features = [
            [normalised(mel.astype(np.float32)).astype(np.float16) for mel in sound.mels]
            for sound in self._sounds
        ]
        odds = np.array([_length(sound) * sound.share for sound in self._sounds], float)
        self._odds = odds / odds.sum()

    def draw(self, rows: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """``[B, 300, 80]`` features, ``[B, 150, 192]`` targets, ``[B, 150, 1]`` 1 where known."""
        rng, half = self._rng, ROW // 2
        features = np.zeros((rows, ROW, N_MELS), np.float32)
        encoded = np.zeros((rows, half, COMPONENTS), np.float32)
        known = np.zeros((rows, half, 1), np.float32)
        size, knots = _EQUALISER
        for row in range(rows):
            index = int(rng.choice(len(self._sounds), p=self._odds))
            copies, sound = self._features[index], self._sounds[index]
            source = copies[0 if rng.random() < _CLEAN else int(rng.integers(len(copies)))]
            length = _length(sound)
            start, count = int(rng.integers(max(length - half, 0) + 1)), min(half, length)
            part = source[2 * start : 2 * (start + count)].astype(np.float32)
            features[row, : len(part)] = part + over_bands(rng.normal(0.0, size, knots))
            encoded[row, :count] = sound.encoded[start : start + count]
            known[row, :count] = 1.0
        return torch.from_numpy(features), torch.from_numpy(encoded), torch.from_numpy(known)


def _length(sound: Sound) -> int:
    return min(len(sound.mels[0]) // 2, len(sound.encoded))
