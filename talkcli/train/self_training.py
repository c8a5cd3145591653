"""Lessons with what teachers hear: softer than measured lips, and for any recording.

Teachers are networks that may look ahead as far as they like and know the whole recording. What
they agree on is what sound says about lips; the rest of a measured film is one person's manner
(noisy student: Xie et al. 2020; born-again networks: Furlanello et al. 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import expit

from talkcli.motion.speech_net import HEADS
from talkcli.train.expression import SPEECH_SHAPES, lip_aperture, lip_width
from talkcli.train.phonemes import TARGETS
from talkcli.train.speech_data import Lesson, add_noise
from talkcli.train.speech_fit import at_frames

#: Mean output of the teachers, ``[T, 17]`` at 50 Hz, for raw log-mel ``[F, 80]``.
Teach = Callable[[np.ndarray], np.ndarray]

_TRUST = 0.5  # share of the teachers' weights in the targets of a measured clip
_STEP = 4  # feature frames between the moments at which a recording teaches
_RECORDING_SHARE, _NOISY_ODDS = 0.4, 0.3
_SHAPES = len(SPEECH_SHAPES)


def softened(lessons: Sequence[Lesson], teach: Teach, basis: np.ndarray) -> list[Lesson]:
    """Measured clips with targets half way to what the teachers hear.

    Args:
        lessons: of clips.
        teach: the teachers.
        basis: ``[15, 478, 3]`` of ``SPEECH_SHAPES``.
    """
    made = []
    for lesson in lessons:
        heard = at_frames(teach(lesson.mels[0]), lesson.positions)[:, :_SHAPES]
        made.append(
            replace(
                lesson,
                weights=_mixed(lesson.weights, heard),
                sizes=_mixed(lesson.sizes, _sizes(heard, basis)),
            )
        )
    return made


def recorded(
    recordings: Sequence[np.ndarray], teach: Teach, basis: np.ndarray, rng: np.random.Generator
) -> list[Lesson]:
    """Lessons of recordings without a picture; arguments as in :func:`softened`."""
    made = []
    for index, mel in enumerate(recordings):
        out = teach(mel)
        positions = np.arange(1.0, len(mel) - 1.0, _STEP)
        heard = at_frames(out, positions)
        voice = expit(out[:, _SHAPES + HEADS.index("voice")])
        closed = expit(heard[:, _SHAPES + HEADS.index("closed")])
        made.append(
            Lesson(
                mels=(mel, add_noise(mel, rng)),
                odds=(1.0, _NOISY_ODDS),
                voice=np.repeat(voice, 2)[: len(mel)].astype(np.float32),
                positions=positions,
                weights=heard[:, :_SHAPES].astype(np.float32),
                sizes=_sizes(heard[:, :_SHAPES], basis),
                closed=closed.astype(np.float32),
                trust=np.ones(len(positions), np.float32),
                phonemes=np.zeros((len(mel), len(TARGETS)), np.float32),
                group=f"recording {index}",
                share=_RECORDING_SHARE,
            )
        )
    return made


def _mixed(measured: np.ndarray, heard: np.ndarray) -> np.ndarray:
    return (measured + _TRUST * (heard - measured)).astype(np.float32)


def _sizes(weights: np.ndarray, basis: np.ndarray) -> np.ndarray:
    return np.stack([weights @ lip_aperture(basis), weights @ lip_width(basis)], 1).astype(
        np.float32
    )
