"""Lessons with what teachers hear: softer than measured lips, and for any recording.

Teachers listen through a speech encoder to the whole of a recording. What they agree on is what
sound says about lips; the rest of a measured film is one person's manner (noisy student: Xie et al.
2020; born-again networks: Furlanello et al. 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import expit

from talkcli.speech.network import HEADS
from talkcli.train.expression import SPEECH_SHAPES, lip_aperture, lip_width
from talkcli.train.speech.batches import Lesson
from talkcli.train.speech.listening import Sound
from talkcli.train.speech.optimise import at_frames
from talkcli.train.speech.phonemes import TARGETS

#: Mean output of the teachers, ``[T, 17]`` at 50 Hz, for what was heard ``[T, 192]``.
Teach = Callable[[np.ndarray], np.ndarray]

_TRUST = 0.6  # share of the teachers' weights in the targets of a measured clip
_STEP = 4  # feature frames between the moments at which a recording teaches
_RECORDING_SHARE, _NOISY_ODDS = 0.4, 0.4
_SHAPES = len(SPEECH_SHAPES)


def softened(
    lessons: Sequence[Lesson], heard: Sequence[np.ndarray], teach: Teach, basis: np.ndarray
) -> list[Lesson]:
    """Measured clips with targets moved towards what the teachers hear.

    Args:
        lessons: of clips.
        heard: ``[T, 192]`` of each.
        teach: the teachers.
        basis: ``[15, 478, 3]`` of ``SPEECH_SHAPES``.
    """
    made = []
    for lesson, states in zip(lessons, heard, strict=True):
        taught = at_frames(teach(states), lesson.positions)[:, :_SHAPES]
        made.append(
            replace(
                lesson,
                weights=_mixed(lesson.weights, taught),
                sizes=_mixed(lesson.sizes, _sizes(taught, basis)),
            )
        )
    return made


def recorded(sounds: Sequence[Sound], teach: Teach, basis: np.ndarray) -> list[Lesson]:
    """Lessons of recordings without a picture; arguments as in :func:`softened`."""
    made = []
    for index, sound in enumerate(sounds):
        out = teach(sound.heard)
        frames = min(len(sound.mels[0]), 2 * len(out))
        positions = np.arange(1.0, frames - 1.0, _STEP)
        taught = at_frames(out, positions)
        voice = expit(np.repeat(out[:, _SHAPES + HEADS.index("voice")], 2))
        weights = taught[:, :_SHAPES].astype(np.float32)
        mels = tuple(mel[:frames] for mel in sound.mels)
        made.append(
            Lesson(
                mels=mels,
                odds=(1.0, *(_NOISY_ODDS / (len(mels) - 1),) * (len(mels) - 1)),
                voice=voice[:frames].astype(np.float32),
                positions=positions,
                weights=weights,
                sizes=_sizes(weights, basis),
                closed=expit(taught[:, _SHAPES + HEADS.index("closed")]).astype(np.float32),
                trust=np.ones(len(positions), np.float32),
                phonemes=np.zeros((frames, len(TARGETS)), np.float32),
                group=f"recording {index}",
                share=_RECORDING_SHARE,
            )
        )
    return made


def _mixed(measured: np.ndarray, taught: np.ndarray) -> np.ndarray:
    return (measured + _TRUST * (taught - measured)).astype(np.float32)


def _sizes(weights: np.ndarray, basis: np.ndarray) -> np.ndarray:
    return np.stack([weights @ lip_aperture(basis), weights @ lip_width(basis)], 1).astype(
        np.float32
    )
