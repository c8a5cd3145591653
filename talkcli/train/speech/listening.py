"""The first lesson of the lip network: to hear what a large speech encoder hears, without lips.

A few minutes of filmed lips do not teach a network what speech is. Hours of sound do: it learns to
tell, from the little that a stream knows, the hidden states of an encoder that heard far more
(distillation: Hinton et al. 2015; of hidden states: Romero et al. 2015).
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
from talkcli.train.speech.ears import DIRECTIONS
from talkcli.train.speech.network import LipNet
from talkcli.train.speech.optimise import Report, optimise

_CLEAN = 0.35  # share of the rows that are not noisy or spoilt
_EQUALISER = 0.25, 6  # deviation of a random curve over the bands, in units of a feature; knots
_LEAST = 55  # hidden states; shorter sounds teach nothing


@dataclass(frozen=True)
class Sound:
    """Sound, and what the encoder hears in it.

    Attributes:
        mels: raw log-mel ``[F, 80]`` float16 of the clean sound, then of noisy and spoilt copies.
        heard: ``[T, 192]`` float16, 50 a second.
        share: how often it is drawn, times its length.
    """

    mels: tuple[np.ndarray, ...]
    heard: np.ndarray
    share: float = 1.0


@dataclass(frozen=True)
class ListeningSettings:
    """How to learn to listen.

    Attributes:
        steps: of the optimiser.
        rows: of a batch, 3 s each.
        rate: highest learning rate.
    """

    steps: int = 8000
    rows: int = 24
    rate: float = 2e-3


class _Listener(nn.Module):
    def __init__(self, net: LipNet) -> None:
        super().__init__()
        self.net = net
        self.heard = nn.Linear(net.layout.width, SUBFRAMES * DIRECTIONS)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """``[B, T, 80]`` to ``[B, T / 2, 192]``."""
        return self.heard(self.net.hidden(features)).reshape(len(features), -1, DIRECTIONS)


def make_sound(
    pcm: np.ndarray,
    heard: np.ndarray,
    spoilt: Sequence[np.ndarray],
    rng: np.random.Generator,
    share: float = 1.0,
) -> Sound:
    """A sound with a noisy copy and the spoilt ones.

    Args:
        pcm: clean, mono, 16 kHz.
        heard: ``[T, 192]``.
        spoilt: copies of it.
        rng: of the noise.
        share: how often it is drawn.
    """
    clean = log_mel(pcm)
    mels = (clean, add_noise(clean, rng), *map(log_mel, spoilt))
    return Sound(tuple(mel.astype(np.float16) for mel in mels), heard, share)


def listen(
    net: LipNet,
    sounds: Sequence[Sound],
    settings: ListeningSettings,
    seed: int,
    report: Report | None = None,
) -> LipNet:
    """Teach a network to hear.

    Args:
        net: to begin with.
        sounds: to listen to.
        settings: how.
        seed: of batches.
        report: told the loss now and then: squared error over the square of what was to be heard.

    Returns:
        The moving average of the weights.
    """
    torch.manual_seed(seed)
    batches = _Batches(sounds, np.random.default_rng(seed))
    learner = _Listener(net)

    def loss() -> torch.Tensor:
        features, heard, known = batches.draw(settings.rows)
        error = ((learner(features) - heard) * known).square().sum()
        return error / (heard * known).square().sum()

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
        """``[B, 300, 80]`` features, ``[B, 150, 192]`` heard, ``[B, 150, 1]`` 1 where known."""
        rng, half = self._rng, ROW // 2
        features = np.zeros((rows, ROW, N_MELS), np.float32)
        heard = np.zeros((rows, half, DIRECTIONS), np.float32)
        known = np.zeros((rows, half, 1), np.float32)
        size, knots = _EQUALISER
        for row in range(rows):
            index = int(rng.choice(len(self._sounds), p=self._odds))
            copies, sound = self._features[index], self._sounds[index]
            features_of = copies[0 if rng.random() < _CLEAN else int(rng.integers(len(copies)))]
            length = _length(sound)
            start, count = int(rng.integers(max(length - half, 0) + 1)), min(half, length)
            part = features_of[2 * start : 2 * (start + count)].astype(np.float32)
            features[row, : len(part)] = part + over_bands(rng.normal(0.0, size, knots))
            heard[row, :count] = sound.heard[start : start + count]
            known[row, :count] = 1.0
        return torch.from_numpy(features), torch.from_numpy(heard), torch.from_numpy(known)


def _length(sound: Sound) -> int:
    return min(len(sound.mels[0]) // 2, len(sound.heard))
