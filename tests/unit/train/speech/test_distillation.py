"""Distillation learns what the encoder outputs."""

from __future__ import annotations

import numpy as np
import torch

from talkcli.train.speech.batches import log_mel, normalised
from talkcli.train.speech.distillation import DistillationSettings, distil, make_sound
from talkcli.train.speech.encoder_features import COMPONENTS
from talkcli.train.speech.network import LipNet
from tests.support.motion import sentence
from tests.support.speech_training import SMALL


def test_distillation_learns_what_the_encoder_outputs() -> None:
    """Hidden states that depend on the sound are learnt; the loss says so."""
    rng = np.random.default_rng(0)
    pcm = sentence()
    features = normalised(log_mel(pcm))[::2]
    states = np.tile(features, (1, 3))[:, :COMPONENTS].astype(np.float16)
    losses: list[str] = []
    torch.manual_seed(0)
    distil(LipNet(SMALL, 15), [make_sound(pcm, states, [], rng)],
           DistillationSettings(steps=500, rows=2), 0, losses.append)  # fmt: skip
    (loss,) = (float(text.rsplit(" ", 1)[1]) for text in losses)
    assert loss < 0.3  # .19; of random states, which cannot be learnt, .97
