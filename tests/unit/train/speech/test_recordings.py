"""Recordings beside the clips, and other voices made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from talkcli.train.speech.batches import log_mel
from talkcli.train.speech.recordings import load_recordings, other_voices, same_sound
from tests.support.motion import sentence


def test_recordings_of_a_clip_are_known(tmp_path: Path) -> None:
    import soundfile

    rng = np.random.default_rng(0)
    pcm = sentence()
    clip = log_mel(pcm)
    noisy = (0.2 * pcm + 0.002 * rng.normal(size=len(pcm))).astype(np.float32)
    assert same_sound(log_mel(np.concatenate([np.zeros(9999, np.float32), noisy])), clip)
    assert not same_sound(log_mel(pcm[::-1].copy()), clip)
    assert not same_sound(log_mel(rng.normal(size=len(pcm)).astype(np.float32)), clip)
    assert not same_sound(clip[:20], clip)
    (tmp_path / "speech").mkdir()
    soundfile.write(tmp_path / "speech" / "same.wav", pcm, 16000)
    soundfile.write(tmp_path / "speech" / "other.wav", pcm[::-1], 16000)
    (tmp_path / "speech" / "notes.txt").write_text("no sound")
    assert len(load_recordings(tmp_path, [])) == 2
    assert len(load_recordings(tmp_path, [clip])) == 1
    assert load_recordings(tmp_path / "speech", [clip]) == []


def test_other_voices_are_faster_or_slower() -> None:
    sounds = [np.tile(sentence(), 2)] * 24 + [np.zeros(16000, np.float32)]
    pieces = other_voices(sounds, np.random.default_rng(0))
    total = sum(map(len, sounds))
    assert len(pieces) > 1
    assert all(len(piece) < 60 * 16000 for piece in pieces)
    assert 0.7 * total < sum(map(len, pieces)) < 1.7 * total
    assert all(0.15 < np.abs(piece).max() < 1.0 for piece in pieces)
    assert other_voices([], np.random.default_rng(0)) == []
