"""Training is repeatable and learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from talkcli.face.model import FaceModel
from talkcli.train.expression import SPEECH_SHAPES, speech_basis
from talkcli.train.speech.batches import background_example, normalised
from talkcli.train.speech.network import LipNet
from talkcli.train.speech.optimise import LipSizes, at_frames, fit_network, outputs
from tests.support.speech_training import QUICK, SMALL, example


def test_training_is_repeatable_and_learns() -> None:
    examples = [example("a"), example("b")]
    spoken = [background_example(4.0, 1.0, np.random.default_rng(0))]
    sizes = LipSizes.of(speech_basis(FaceModel.load()))

    def fitted(steps: int) -> LipNet:
        torch.manual_seed(1)
        settings = replace(QUICK, steps=steps)
        return fit_network(LipNet(SMALL, 15), examples, spoken, sizes, settings, 0)

    one, two, other = fitted(60), fitted(60), fitted(3)

    def output_of(net: LipNet) -> np.ndarray:
        return at_frames(outputs([net], normalised(examples[0].mels[0])), examples[0].positions)

    assert output_of(one).shape == (90, len(SPEECH_SHAPES) + 2)
    np.testing.assert_array_equal(output_of(one), output_of(two))

    def error(net: LipNet) -> float:
        weights = output_of(net)[:, : len(SPEECH_SHAPES)]
        return float(((weights - examples[0].weights) ** 2).mean())

    assert error(one) < 0.85 * error(other)  # .72
