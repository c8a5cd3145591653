"""Teachers: small networks from what a speech encoder hears to lips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from talkcli.speech.network import HEADS, SUBFRAMES
from talkcli.train.expression import SPEECH_SHAPES
from talkcli.train.speech.batches import Lesson
from talkcli.train.speech.ears import DIRECTIONS
from talkcli.train.speech.phonemes import TARGETS

_WIDTH, _KERNEL, _DILATIONS = 128, 5, (1, 1, 2)
_HEARD_DROPOUT, _DROPOUT = 0.3, 0.15
_FRAMES = 2  # feature frames of 10 ms per hidden state


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
    """Hears the past and .6 s ahead, in what already took in 30 s.

    In and out as :class:`talkcli.train.speech.network.LipNet`, but for features of :class:`Ears`,
    each of them twice, at 100 Hz.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heard = nn.Sequential(nn.Dropout(_HEARD_DROPOUT), nn.Linear(DIRECTIONS, _WIDTH))
        self.halve = nn.Conv1d(_WIDTH, _WIDTH, 5, stride=2, padding=2)
        self.dropout = nn.Dropout(_DROPOUT)
        self.blocks = nn.Sequential(*map(_Block, _DILATIONS))
        self.norm = nn.LayerNorm(_WIDTH)
        self.out = nn.Linear(_WIDTH, SUBFRAMES * (len(SPEECH_SHAPES) + len(HEADS)))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """``[B, T, 192]`` to ``[B, T / 2, 17]``."""
        x = functional.silu(self.heard(features[:, ::_FRAMES]))
        x = self.dropout(functional.silu(self.halve(x.transpose(1, 2)))).transpose(1, 2)
        y = self.out(self.norm(self.blocks(x)))
        return y.reshape(len(y), -1, y.shape[2] // SUBFRAMES)


def at_features(heard: np.ndarray) -> np.ndarray:
    """Hidden states ``[T, 192]`` as features ``[2 T, 192]`` float32."""
    return np.repeat(heard.astype(np.float32), _FRAMES, axis=0)


def heard_lessons(lessons: Sequence[Lesson], heard: Sequence[np.ndarray]) -> list[Lesson]:
    """Lessons with what :class:`Ears` heard in place of log-mel.

    Args:
        lessons: of clips.
        heard: ``[T, 192]`` of each.
    """
    made = []
    for lesson, states in zip(lessons, heard, strict=True):
        features = at_features(states)
        count = min(len(features), len(lesson.voice))
        made.append(
            replace(
                lesson,
                mels=(features[:count],),
                odds=(1.0,),
                voice=lesson.voice[:count],
                phonemes=np.zeros((count, len(TARGETS)), np.float32),
            )
        )
    return made
