"""File names that are not UTF-8, as old disks and foreign archives bring them."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkcli.errors import InputError
from talkcli.media.audio import open_sound, sound_duration
from talkcli.media.image import read_image, write_image
from talkcli.media.read import probe, read_frames
from talkcli.media.write import Encoding, FrameFormat, VideoWriter
from tests.support.media import make_audio, make_clip, quadrants, tone

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="its disks take UTF-8 alone")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / os.fsdecode(b"caf\xe9")
    path.mkdir()
    return path


def write_video(path: Path, count: int, audio: Path | None = None) -> Path:
    shape = FrameFormat(64, 48, Fraction(25))
    encoding = Encoding(sound_file=audio is not None and not path.suffix)
    settings: dict = {"duration_s": count / 25, "encoding": encoding}
    with (
        nullcontext() if audio is None else open_sound(audio) as sound,
        VideoWriter(path, shape, sound=sound, **settings) as writer,
    ):
        for frame in quadrants(count):
            writer.write(frame)
    return path


def test_pictures(folder: Path) -> None:
    path = folder / os.fsdecode(b"\xff.png")
    write_image(path, quadrants(1)[0])
    np.testing.assert_array_equal(read_image(path)[..., :3], quadrants(1)[0])


def test_sound_and_video(folder: Path) -> None:
    path = folder / os.fsdecode(b"\xe9%d.wav")
    make_audio(folder.parent / "v.wav", tone(1, 8000), 8000).rename(path)
    assert sound_duration(path) == 1
    with open_sound(path) as sound:
        assert sound.exact_duration_s == 1
    result = write_video(folder / os.fsdecode(b"o\xff.mp4"), 25, path)
    assert probe(result).n_frames == 25
    assert len(list(read_frames(result))) == 25
    frames = write_video(folder / os.fsdecode(b"frames\xff%d"), 2, path)
    assert len(list(frames.iterdir())) == 3


def test_messages_can_be_written(folder: Path) -> None:
    clip = make_clip(folder.parent / "mute.mp4", quadrants())
    mute = clip.rename(folder / os.fsdecode(b"mute\xff.mp4"))
    text = folder / os.fsdecode(b"text\xff.wav")
    text.write_text("hello\n")
    for path in (mute, text, folder / os.fsdecode(b"none\xff"), folder):
        with pytest.raises(InputError) as caught:
            open_sound(path)
        assert str(caught.value).encode(errors="surrogateescape")
