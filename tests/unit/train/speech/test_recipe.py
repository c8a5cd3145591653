"""Cross-validation, worker processes, pupils, calibration: the recipe on a tiny corpus."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from talkcli.train.expression import SPEECH_SHAPES
from talkcli.train.speech import recipe, ridge
from talkcli.train.speech.corpus import Corpus, RecipeSettings
from talkcli.train.speech.report import mismatched, score, table
from talkcli.train.speech.speakers import FOLDS
from tests.support.speech_training import RECIPE, corpus


def test_cross_validation_keeps_speakers_apart(tmp_path: Path) -> None:
    made = corpus(tmp_path)
    assert set(made.folds) == set(range(FOLDS))
    messages: list[str] = []
    outputs_50hz = recipe.cross_validate(made, RECIPE, messages.append)
    held_out = recipe.on_frames(made, outputs_50hz)
    assert set(held_out) == set(range(6))
    by_ridge = ridge.cross_validate(made.tracks, made.examples, made.folds.tolist())
    assert all(values.shape == (70, len(SPEECH_SHAPES)) for values in by_ridge.values())
    assert all(s.values["aperture_r"] > 0.9 for s in score(made, {0: made.examples[0].weights}))
    assert mismatched(held_out)[0].shape == held_out[0].shape
    taught = recipe.cross_validate_teachers(made, RECIPE, messages.append, 0.5)
    assert {i: v.shape for i, v in recipe.on_frames(made, taught).items()} == {
        i: v.shape for i, v in held_out.items()
    }
    # What is finished is not trained again.
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = recipe.cross_validate(made, RECIPE, messages.append)
    np.testing.assert_array_equal(again[0], outputs_50hz[0])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


@pytest.mark.slow  # 14 s, most of them imports of torch
def test_worker_processes_train_the_same_networks(tmp_path: Path) -> None:
    """Two workers give what one process gives, and every finished network is reported once."""
    made = corpus(tmp_path)
    groups = [[0, 1], [1, 2], [2, 3]]
    for name in ("alone", "together"):
        (tmp_path / name).mkdir()
    alone = recipe.train(replace(made, kept=tmp_path / "alone"), groups, RECIPE, lambda text: None)
    told: list[str] = []
    together = recipe.train(
        replace(made, kept=tmp_path / "together"), groups, replace(RECIPE, jobs=2), told.append
    )
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one.out.weight, other.out.weight)
    assert [text for text in told if text.startswith("network")] == [
        f"network {k} of 3 trained" for k in (1, 2, 3)
    ]


def test_a_pupil_learns_from_its_teachers_and_from_recordings(tmp_path: Path) -> None:
    made = corpus(tmp_path)

    def learnt(settings: RecipeSettings = RECIPE, of: Corpus = made) -> torch.Tensor:
        (net,) = recipe.train(of, [[0, 1, 2]], settings, lambda text: None)
        return net.out.weight.detach()

    first = learnt()
    better = replace(RECIPE, teacher=replace(RECIPE.teacher, steps=6))
    undistilled = replace(RECIPE, distillation=replace(RECIPE.distillation, steps=1))
    others = [learnt(better), learnt(undistilled), learnt(of=replace(made, recordings=0))]
    assert all(not torch.equal(first, other) for other in others)
    assert len(list(tmp_path.glob("student-*.safetensors"))) == 4
    assert len(list(tmp_path.glob("distilled-*.safetensors"))) == 2


def test_calibrated_model_has_natural_size(tmp_path: Path) -> None:
    made = corpus(tmp_path)
    (net,) = recipe.train(made, [[0, 1, 2]], RECIPE, lambda text: None)
    held_out = {}
    for i, each in enumerate(made.examples):
        shrunk = each.weights.mean(0) + 0.5 * (each.weights - each.weights.mean(0))
        held_out[i] = np.concatenate([shrunk, np.full((70, 2), 3.0)], 1)
    model = recipe.calibrate(made, held_out, net, RECIPE)
    restored = model.restore(model.full(held_out[0][:, : len(SPEECH_SHAPES)])) @ model.aperture
    real = made.examples[0].sizes[:, 0]
    # Films show less than is asked for: 1.17 of the real opening is.
    assert 1.05 < np.quantile(restored, 0.9) / np.quantile(real, 0.9) < 1.3
    assert np.quantile(restored, 0.1) < 0.1
    text = table(made, held_out, model)
    assert "6 clips, 6 speakers held out" in text
    assert text.count("\n| ") == 6
