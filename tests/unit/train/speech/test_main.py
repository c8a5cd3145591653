"""A whole tiny run of ``talkcli train speech``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from talkcli.cli.app import app
from talkcli.speech.model import load_speech_model, predict
from talkcli.train.speech.batches import normalised
from tests.support.encoder import write_encoder
from tests.support.speech_training import example, need_espeak


@pytest.mark.slow
def test_the_whole_recipe(shared_data: Path, tmp_path: Path) -> None:
    need_espeak()
    listed = json.loads((shared_data / "speech_clips.json").read_text())
    chosen = {}
    for entry in listed:
        if "GRID" in entry["speaker"] and entry["usable_speech"]:
            chosen.setdefault(entry["speaker"], entry)
    (tmp_path / "speech_clips.json").write_text(json.dumps(list(chosen.values())[:6]))
    (tmp_path / "clips").symlink_to(shared_data / "clips")
    target = tmp_path / "made.safetensors"
    result = CliRunner().invoke(
        app,
        ["train", "speech", "--data", str(tmp_path), "--cache", str(tmp_path / "cache"),
         "-o", str(target), "--steps", "3", "--utterances", "10",
         "--encoder", str(write_encoder(tmp_path / "model.bin"))],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "natural size, voice gate" in result.output
    assert "unseen voices and languages" in result.output
    model = load_speech_model(target)
    rows = predict(model, normalised(example().mels[0]))
    assert np.isfinite(rows.weights).all()
