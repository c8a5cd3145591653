"""Training targets from the teachers: smoother than measured lips, and available for any sound.

Teachers see the whole of a recording through a speech encoder. What they agree on is what sound
says about lips; the rest of a measured clip is one person's manner (noisy student: Xie et al. 2020;
born-again networks: Furlanello et al. 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import expit

from talkcli.speech.network import HEADS
from talkcli.train.expression import SPEECH_SHAPES, lip_aperture, lip_width
from talkcli.train.speech.batches import TrainingExample
from talkcli.train.speech.distillation import Sound
from talkcli.train.speech.optimise import at_frames
from talkcli.train.speech.phonemes import TARGETS

#: Encoder features ``[T, 192]`` to the mean output of the teachers ``[T, 17]`` at 50 Hz.
Teach = Callable[[np.ndarray], np.ndarray]

_TRUST = 0.6  # share of the teachers' output in the targets of a measured clip
_STEP = 4  # feature frames between the targets taken from a recording
_RECORDING_SHARE, _NOISY_ODDS = 0.4, 0.4
_SHAPES = len(SPEECH_SHAPES)


def soften_targets(
    examples: Sequence[TrainingExample],
    encoded: Sequence[np.ndarray],
    teach: Teach,
    basis: np.ndarray,
) -> list[TrainingExample]:
    """Measured clips with their targets moved towards the teachers' output.

    Args:
        examples: measured clips.
        encoded: ``[T, 192]`` encoder features of each.
        teach: the teachers.
        basis: ``[15, 478, 3]`` displacements of ``SPEECH_SHAPES`` at weight 1, cm.
    """
    made = []
    for example, features in zip(examples, encoded, strict=True):
        taught = at_frames(teach(features), example.positions)[:, :_SHAPES]
        made.append(
            replace(
                example,
                weights=_mixed(example.weights, taught),
                sizes=_mixed(example.sizes, _sizes(taught, basis)),
            )
        )
    return made


def recording_examples(
    sounds: Sequence[Sound], teach: Teach, basis: np.ndarray
) -> list[TrainingExample]:
    """Training examples from recordings without video, with the teachers' output as targets.

    Args:
        sounds: the recordings.
        teach: the teachers.
        basis: as in :func:`soften_targets`.
    """
    made = []
    for index, sound in enumerate(sounds):
        out = teach(sound.encoded)
        frames = min(len(sound.mels[0]), 2 * len(out))
        positions = np.arange(1.0, frames - 1.0, _STEP)
        taught = at_frames(out, positions)
        voice = expit(np.repeat(out[:, _SHAPES + HEADS.index("voice")], 2))
        weights = taught[:, :_SHAPES].astype(np.float32)
        mels = tuple(mel[:frames] for mel in sound.mels)
        made.append(
            TrainingExample(
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
    """``[T, 2]`` lip aperture and width, cm."""
    sizes = np.stack([weights @ lip_aperture(basis), weights @ lip_width(basis)], 1)
    return sizes.astype(np.float32)
