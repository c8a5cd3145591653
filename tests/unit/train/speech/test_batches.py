"""What a batch shows: frames in their places, noise, and every copy of a lesson."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from talkcli.train.expression import SPEECH_SHAPES
from talkcli.train.speech.batches import Batcher, add_noise, log_mel
from tests.support.motion import sentence
from tests.support.speech_training import example


def test_a_batch_shows_frames_where_they_are() -> None:
    """Features hold the frame's own index: it must be found at the frame's position."""
    made = example()
    ramp = np.arange(len(made.mels[0]), dtype=np.float32)
    positions = np.sort(np.random.default_rng(1).uniform(0, len(ramp) - 2, 90))
    weights = np.repeat(positions[:, None], len(SPEECH_SHAPES), 1).astype(np.float32)
    made = replace(made, positions=positions, weights=weights)
    shown = np.repeat(ramp[:, None], 80, 1)
    batcher = Batcher([made], np.random.default_rng(0), lambda mel: shown)
    batch = batcher.batch(4)
    for row in range(4):
        for k in np.flatnonzero(batch.trust[row]):
            low = int(batch.positions[row, k])
            part = batch.positions[row, k] - low
            if low + 1 < 300 and batch.features[row, low + 1, 0] > batch.features[row, low, 0]:
                seen = batch.features[row, low : low + 2, 0] @ (1 - part, part)
                assert seen == pytest.approx(batch.weights[row, k, 0], abs=0.02)
    assert batch.trust.sum() > 50


def test_noise_fills_the_pauses() -> None:
    clean = log_mel(sentence())
    loud = clean.mean(1) > np.quantile(clean.mean(1), 0.8)
    for seed in range(5):
        noisy = add_noise(clean, np.random.default_rng(seed))
        assert noisy.shape == clean.shape
        assert np.isfinite(noisy).all()
        assert (noisy >= clean - 1e-5).all()
        added = np.exp(noisy) - np.exp(clean)
        speech = np.quantile(np.exp(clean).mean(1), 0.9)
        assert 3.0 - 1.0 < 10 * np.log10(speech / added.mean()) < 25.0 + 1.0
        # Rises where there was nothing, steady from frame to frame.
        assert (noisy - clean)[~loud].mean() > (noisy - clean)[loud].mean()


def test_every_copy_of_a_lesson_is_drawn() -> None:
    made = example()
    named = {id(mel): float(k) for k, mel in enumerate(made.mels)}
    batcher = Batcher([made], np.random.default_rng(0),
                      lambda mel: np.full(mel.shape, named[id(mel)], np.float32))  # fmt: skip
    seen = {float(batcher.batch(1).features[0, 0, 0]) for _ in range(100)}
    assert seen == set(named.values())
