"""Frames as a folder of PNGs, with the sound beside them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from talkcli.errors import (
    InputError,
)
from talkcli.media.audio import open_sound, sound_duration, stream_pcm
from talkcli.media.image import read_image
from talkcli.media.write import (
    Encoding,
)
from tests.support.media import (
    make_audio,
    names,
    quadrants,
    tone,
    write_video,
)


@pytest.mark.parametrize("alpha", [False, True])
def test_png_folder(tmp_path: Path, alpha: bool) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 31, 33, 4 if alpha else 3)).astype(np.uint8)
    folder = tmp_path / "100% frames"
    write_video(folder, frames, encoding=Encoding(alpha=alpha))
    assert names(folder) == ["00000.png", "00001.png", "00002.png"]
    for path, frame in zip(sorted(folder.iterdir()), frames, strict=True):
        np.testing.assert_array_equal(read_image(path)[..., : frame.shape[2]], frame)
    with pytest.raises(InputError, match="use -y"):
        write_video(folder, frames, encoding=Encoding(alpha=alpha))
    write_video(folder, frames[:1], encoding=Encoding(alpha=alpha), overwrite=True)
    assert names(folder) == ["00000.png"]
    (folder / "thesis.txt").touch()
    with pytest.raises(InputError, match=r"other files \(thesis.txt\)"):
        write_video(folder, frames, encoding=Encoding(alpha=alpha), overwrite=True)
    assert names(tmp_path) == ["100% frames"]


#: Number type of the file, rate, channels, and the number type of ``sound.wav``.
KINDS = {
    "s16": ("pcm_s16le", 16000, 1, "pcm_s16le"),
    "u8": ("pcm_u8", 8000, 1, "pcm_s16le"),
    "s24": ("pcm_s24le", 48000, 2, "pcm_s24le"),
    "f32": ("pcm_f32le", 44100, 2, "pcm_s24le"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_sound_file_beside_frames_keeps_every_sample(tmp_path: Path, kind: str) -> None:
    codec, rate, channels, written = KINDS[kind]
    audio = make_audio(tmp_path / "v.wav", tone(0.5, rate, channels), rate, "-c:a", codec)
    folder = tmp_path / "50% done"
    settings: dict = {"audio": audio, "encoding": Encoding(sound_file=True)}
    write_video(folder, quadrants(12), duration_s=0.5, **settings)
    assert names(folder) == [*(f"{k:05d}.png" for k in range(12)), "sound.wav"]
    with av.open(str(folder / "sound.wav")) as container:
        assert container.streams.audio[0].codec_context.name == written
    read = []
    for path in (audio, folder / "sound.wav"):
        with open_sound(path) as sound:
            assert (sound.sample_rate, sound.channels) == (rate, channels)
            read.append(np.concatenate(list(sound.track(rate, channels))))
    # 24 bits cut off what a float holds below them.
    np.testing.assert_allclose(read[1], read[0], rtol=0, atol=2**-23 if kind == "f32" else 0)
    with pytest.raises(InputError, match="use -y"):
        write_video(folder, quadrants(12), duration_s=0.5, **settings)
    write_video(folder, quadrants(5), overwrite=True)
    assert names(folder) == [f"{k:05d}.png" for k in range(5)]


@pytest.mark.parametrize("start_s", [0.0, 0.3, 2.0])
def test_sound_file_is_as_long_as_the_frames(tmp_path: Path, start_s: float) -> None:
    audio = make_audio(tmp_path / "v.wav", tone(1.0, 22050, 2), 22050)
    for n_frames in (10, 50):
        folder = tmp_path / str(n_frames)
        encoding = Encoding(sound_file=True, sound_start_s=start_s)
        write_video(folder, quadrants(n_frames), audio=audio, encoding=encoding)
        assert sound_duration(folder / "sound.wav") == n_frames / 25
        heard = np.concatenate(list(stream_pcm(folder / "sound.wav")))
        silent = round(16000 * min(start_s, n_frames / 25))
        assert not heard[: max(0, silent - 20)].any()


def test_a_sound_that_others_put_beside_frames_stays(tmp_path: Path) -> None:
    audio = make_audio(tmp_path / "v.wav", tone(0.2, 8000), 8000)
    folder = write_video(tmp_path / "frames", quadrants(5))
    (folder / "sound.wav").write_bytes(audio.read_bytes())
    with pytest.raises(InputError, match=r"other files \(sound.wav\)"):
        write_video(folder, quadrants(5), overwrite=True)


def test_a_failure_leaves_neither_frames_nor_sound(tmp_path: Path) -> None:
    audio = make_audio(tmp_path / "v.wav", tone(1.0, 8000), 8000)
    with pytest.raises(ValueError, match="5 frames were written, 25 make"):
        write_video(
            tmp_path / "frames", quadrants(5), duration_s=1.0, audio=audio,
            encoding=Encoding(sound_file=True),
        )  # fmt: skip
    assert names(tmp_path) == ["v.wav"]
