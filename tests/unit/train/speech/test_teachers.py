"""Teachers see hidden states in their places, and soften what pupils learn."""

from __future__ import annotations

import numpy as np
import torch

from talkcli.face.model import FaceModel
from talkcli.train.expression import SPEECH_SHAPES, speech_basis
from talkcli.train.speech.distillation import make_sound
from talkcli.train.speech.encoder_features import COMPONENTS
from talkcli.train.speech.optimise import outputs
from talkcli.train.speech.self_training import recording_examples, soften_targets
from talkcli.train.speech.teachers import TeacherNet, at_features, encoded_examples
from tests.support.motion import sentence
from tests.support.speech_training import example, random_states


def test_a_teacher_sees_states_where_they_are() -> None:
    """A change in one hidden state moves the lips around it and nowhere else."""
    torch.manual_seed(0)
    net = TeacherNet().eval()
    states = np.zeros((200, COMPONENTS), np.float16)
    before = outputs([net], at_features(states))
    states[100] = 5.0
    moved = np.abs(outputs([net], at_features(states)) - before).max(1)
    assert before.shape == (200, len(SPEECH_SHAPES) + 2)
    assert 98 <= moved.argmax() <= 102
    assert moved[:60].max() == moved[140:].max() == 0.0
    made = example()
    (seen,) = encoded_examples(
        [made], [random_states(np.zeros(len(made.voice) * 160), np.random.default_rng(0))]
    )
    assert len(seen.mels[0]) == len(seen.voice) == len(seen.phonemes)


def test_teachers_soften_what_was_measured() -> None:
    made, basis = example(), speech_basis(FaceModel.load())
    shapes = len(SPEECH_SHAPES)
    sound = make_sound(sentence(), random_states(sentence(), np.random.default_rng(0)), [],
                       np.random.default_rng(0))  # fmt: skip

    def teach(states: np.ndarray) -> np.ndarray:
        out = np.full((len(states), shapes + 2), 0.2, np.float32)
        out[:, shapes:] = (-9.0, 9.0)
        return out

    (soft,) = soften_targets([made], [sound.encoded], teach, basis)
    np.testing.assert_allclose(soft.weights, 0.4 * made.weights + 0.12, atol=1e-6)
    assert np.abs(soft.sizes - made.sizes).max() > 0.01
    (told,) = recording_examples([sound], teach, basis)
    np.testing.assert_allclose(told.weights, 0.2, atol=1e-6)
    assert told.closed.max() < 0.01 < 0.99 < told.voice.min()
    assert len(told.voice) == len(told.phonemes) == len(told.mels[0]) == len(told.mels[1])
