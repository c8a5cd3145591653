"""Teachers: small networks from the features of a speech encoder to lips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from talkcli.speech.network import HEADS, SUBFRAMES
from talkcli.train.expression import SPEECH_SHAPES
from talkcli.train.speech.batches import TrainingExample
from talkcli.train.speech.encoder_features import COMPONENTS
from talkcli.train.speech.phonemes import TARGETS

_WIDTH, _KERNEL, _DILATIONS = 128, 5, (1, 1, 2)
_INPUT_DROPOUT, _DROPOUT = 0.3, 0.15
_FRAMES = 2  # feature frames of 10 ms per encoder frame


class _Block(nn.Module):
    def __init__(self, dilation: int) -> None:
        super().__init__()
        reach = dilation * (_KERNEL // 2)
        self.norm = nn.LayerNorm(_WIDTH)
        self.depth = nn.Conv1d(
            _WIDTH, _WIDTH, _KERNEL, padding=reach, dilation=dilation, groups=_WIDTH
        )
        self.mix = nn.Sequential(
            nn.Linear(_WIDTH, 2 * _WIDTH), nn.SiLU(), nn.Linear(2 * _WIDTH, _WIDTH)
        )
        self.dropout = nn.Dropout(_DROPOUT)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.depth(self.norm(x).transpose(1, 2)).transpose(1, 2)
        return x + self.dropout(self.mix(y))


class TeacherNet(nn.Module):
    """Sees the past and 0.6 s ahead of features that themselves cover 30 s of context.

    Inputs and outputs are those of :class:`talkcli.train.speech.network.LipNet`, except that the
    inputs are encoder features at 100 Hz, each one repeated.
    """

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Dropout(_INPUT_DROPOUT), nn.Linear(COMPONENTS, _WIDTH))
        self.halve = nn.Conv1d(_WIDTH, _WIDTH, 5, stride=2, padding=2)
        self.dropout = nn.Dropout(_DROPOUT)
        self.blocks = nn.Sequential(*map(_Block, _DILATIONS))
        self.norm = nn.LayerNorm(_WIDTH)
        self.out = nn.Linear(_WIDTH, SUBFRAMES * (len(SPEECH_SHAPES) + len(HEADS)))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """``[B, T, 192]`` to ``[B, T / 2, 17]``."""
        x = functional.silu(self.project(features[:, ::_FRAMES]))
        x = self.dropout(functional.silu(self.halve(x.transpose(1, 2)))).transpose(1, 2)
        y = self.out(self.norm(self.blocks(x)))
        return y.reshape(len(y), -1, y.shape[2] // SUBFRAMES)


def at_features(encoded: np.ndarray) -> np.ndarray:
    """Encoder features ``[T, 192]`` at the rate of log-mel features: ``[2 T, 192]`` float32."""
    return np.repeat(encoded.astype(np.float32), _FRAMES, axis=0)


def encoded_examples(
    examples: Sequence[TrainingExample], encoded: Sequence[np.ndarray]
) -> list[TrainingExample]:
    """Training examples with encoder features in place of log-mel.

    Args:
        examples: clips.
        encoded: ``[T, 192]`` encoder features of each.
    """
    made = []
    for example, states in zip(examples, encoded, strict=True):
        features = at_features(states)
        count = min(len(features), len(example.voice))
        made.append(
            replace(
                example,
                mels=(features[:count],),
                odds=(1.0,),
                voice=example.voice[:count],
                phonemes=np.zeros((count, len(TARGETS)), np.float32),
            )
        )
    return made
