from __future__ import annotations

from pathlib import Path

from talkcli.pipeline.video.performance import own_seed


def test_a_pair_of_portrait_and_sound_has_a_seed_of_its_own(tmp_path: Path) -> None:
    first, second = tmp_path / "a.wav", tmp_path / "b.wav"
    first.write_bytes(b"one sound")
    second.write_bytes(b"two sound")
    seeds = {own_seed(portrait, sound) for portrait in ("aa", "bb") for sound in (first, second)}
    assert len(seeds) == 4
    again = tmp_path / "elsewhere.wav"
    again.write_bytes(b"one sound")
    assert own_seed("aa", again) == own_seed("aa", first)


def test_a_longer_recording_with_the_same_beginning_differs(tmp_path: Path) -> None:
    short, long = tmp_path / "short.wav", tmp_path / "long.wav"
    short.write_bytes(bytes(2 << 20))
    long.write_bytes(bytes(3 << 20))
    assert own_seed("", short) != own_seed("", long)
