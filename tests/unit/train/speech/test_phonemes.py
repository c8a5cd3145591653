"""What lips do in a phoneme, and synthetic speech with the times of its phonemes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from talkcli.cli.app import app
from talkcli.errors import MissingDependencyError
from talkcli.train.speech import phonemes
from tests.support.speech_training import need_espeak


def test_phonemes_say_what_lips_do() -> None:
    row = phonemes.phoneme_row
    assert row("m")[phonemes.CLOSED] == row("b")[phonemes.CLOSED] == 1.0
    assert row("f")[phonemes.LABIODENTAL] == 1.0
    assert row("ɑː")[phonemes.OPEN] > 0.9
    assert row("uː")[phonemes.ROUND] == 1.0
    assert row("iː")[phonemes.SPREAD] == 1.0
    assert row("")[phonemes.SILENT] == 1.0
    assert row("ä")[phonemes.OPEN] == 1.0  # a with a mark over it
    assert row("t")[phonemes.CLOSED] == row("t")[phonemes.SILENT] == 0.0


def test_synthetic_speech_is_timed() -> None:
    need_espeak()
    spoken = phonemes.speak("Mama papa baby.", "en-us+f2", np.random.default_rng(0))
    assert spoken.targets.shape == (len(spoken.pcm) // 160 + 1, 10)
    closed = spoken.targets[:, phonemes.CLOSED]
    peaks = (closed[1:-1] > 0.35) & (closed[1:-1] >= closed[:-2]) & (closed[1:-1] > closed[2:])
    assert 4 <= peaks.sum() <= 6  # quick ones merge
    level = np.array([np.abs(spoken.pcm[k * 160 : k * 160 + 160]).max() for k in range(30)])
    assert level.max() < 1e-3  # silence in front
    unseen = phonemes.utterances(6, 0, held_out=True)
    assert {u.voice.split("+")[0] for u in unseen} <= {"es", "it", "ja", "tr", "pl"}


def test_missing_espeak_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(phonemes.ctypes.util, "find_library", lambda name: None)
    monkeypatch.setattr(phonemes, "_LIBRARIES", ("libnone.so",))
    phonemes._espeak.cache_clear()
    with pytest.raises(MissingDependencyError, match="espeak-ng"):
        phonemes.check_espeak()
    result = CliRunner().invoke(
        app, ["train", "speech", "--data", str(tmp_path), "-o", str(tmp_path / "w.safetensors")]
    )
    assert isinstance(result.exception, MissingDependencyError)
    assert result.exception.exit_code == 4
