from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from talkcli.errors import InputError
from talkcli.media.audio import probe_audio, stream_pcm
from tests.support.media import make_audio, make_film, quadrants, run_ffmpeg, tone

SECONDS = 1.337

#: suffix, rate, channels, encoder options, seconds by which the codec may change the length.
#: Codecs that store their delay are exact; LAME at low rates and raw ADTS carry whole frames.
FORMATS = [
    ("wav", 8000, 1, ["-c:a", "pcm_u8"], 0),
    ("wav", 8000, 1, [], 0),
    ("wav", 44100, 2, ["-c:a", "pcm_s24le"], 0),
    ("wav", 96000, 2, ["-c:a", "pcm_f32le"], 0),
    ("wav", 48000, 6, [], 0),
    ("wav", 11025, 3, ["-c:a", "pcm_f64le"], 0),
    ("flac", 96000, 2, [], 0),
    ("mp3", 44100, 2, [], 0),
    ("mp3", 24000, 1, [], 0.03),
    ("m4a", 48000, 1, ["-b:a", "192k"], 0),
    ("m4a", 44100, 2, ["-c:a", "alac"], 0),
    ("ogg", 44100, 2, ["-c:a", "libvorbis"], 0),
    ("opus", 48000, 2, [], 0),
    ("mka", 48000, 2, ["-c:a", "libopus"], 0.01),
    ("aac", 44100, 2, [], 0.05),
    ("mov", 22050, 1, ["-c:a", "pcm_s16be"], 0),
]


@pytest.mark.parametrize(("suffix", "rate", "channels", "codec", "slack"), FORMATS)
def test_formats(
    tmp_path: Path, suffix: str, rate: int, channels: int, codec: list[str], slack: float
) -> None:
    original = tone(SECONDS, rate, channels)
    path = make_audio(tmp_path / f"voice.{suffix}", original, rate, *codec)
    info = probe_audio(path)
    assert (info.sample_rate, info.channels, info.start_s) == (rate, channels, 0)
    assert info.duration_s == pytest.approx(len(original) / rate, abs=max(slack, 1e-9))
    decoded = np.concatenate(list(stream_pcm(path)))
    assert decoded.dtype == np.float32
    assert len(decoded) == round(info.duration_s * 16000)
    expected = tone(SECONDS, 16000)[:, 0] * (2.0 if channels == 3 else 1.0)
    if channels <= 2 and not slack:
        # In step to the sample, except at the edges where resampling filters ring; codecs at
        # 8 bits or a few dozen kbit/s stay within 0.03 of a wave of 0.3.
        middle = slice(200, min(len(decoded), len(expected)) - 200)
        assert np.abs(decoded[middle] - expected[middle]).max() < 0.03


def test_blocks_are_equal_and_complete(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "voice.wav", tone(2.6, 16000), 16000)
    blocks = list(stream_pcm(path, block_s=0.5))
    assert [len(block) for block in blocks] == [8000] * 5 + [1600]
    np.testing.assert_allclose(np.concatenate(blocks), tone(2.6, 16000)[:, 0], atol=1e-4)
    assert [len(b) for b in stream_pcm(path, rate=8000, block_s=10)] == [20800]


def test_stereo_is_averaged(tmp_path: Path) -> None:
    left = np.column_stack([np.full(8000, 0.5), np.zeros(8000)])
    path = make_audio(tmp_path / "left.wav", left, 16000, "-c:a", "pcm_f32le")
    np.testing.assert_allclose(np.concatenate(list(stream_pcm(path))), 0.25, atol=1e-4)


def test_sound_of_a_film_that_starts_late(tmp_path: Path) -> None:
    sound = make_audio(tmp_path / "voice.wav", tone(1.0, 48000), 48000)
    path = make_film(
        tmp_path / "film.mkv", quadrants(50), "25", "-itsoffset", "0.5", "-i", sound, "-c:a", "flac"
    )
    info = probe_audio(path)
    assert info.duration_s == pytest.approx(1.0)
    assert info.start_s == pytest.approx(0.5, abs=0.002)
    assert sum(map(len, stream_pcm(path))) == 16000


def test_silence_and_shortest_sound_are_legal(tmp_path: Path) -> None:
    silent = make_audio(tmp_path / "silent.wav", np.zeros((1600, 1)), 16000)
    assert probe_audio(silent).duration_s == 0.1
    assert not np.concatenate(list(stream_pcm(silent))).any()
    one = make_audio(tmp_path / "one.wav", np.ones((1, 1)), 16000)
    assert [len(block) for block in stream_pcm(one)] == [1]


def test_nan_and_infinity_become_silence(tmp_path: Path) -> None:
    samples = tone(0.2, 16000)
    samples[100], samples[200], samples[300] = np.nan, np.inf, -np.inf
    path = make_audio(tmp_path / "odd.wav", samples, 16000, "-c:a", "pcm_f32le")
    decoded = np.concatenate(list(stream_pcm(path)))
    assert np.isfinite(decoded).all()
    assert decoded[[100, 200, 300]].tolist() == [0, 0, 0]


def test_truncated_recordings_give_what_they_hold(tmp_path: Path) -> None:
    for suffix in ("wav", "mp3", "flac", "ogg"):
        path = make_audio(tmp_path / f"voice.{suffix}", tone(4.0, 44100, 2), 44100)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        info = probe_audio(path)
        assert 1.0 < info.duration_s < 3.0, suffix
        assert sum(map(len, stream_pcm(path))) == round(info.duration_s * 16000)


def test_rate_that_changes_within_a_file(tmp_path: Path) -> None:
    parts = [
        make_audio(tmp_path / f"{rate}.mp3", tone(1.0, rate), rate, "-write_xing", "0")
        for rate in (44100, 48000)
    ]
    path = tmp_path / "joined.mp3"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    info = probe_audio(path)
    assert info.duration_s == pytest.approx(2.0, abs=0.15)
    assert sum(map(len, stream_pcm(path))) == round(info.duration_s * 16000)


def test_bad_inputs_are_explained(tmp_path: Path) -> None:
    text = tmp_path / "text.wav"
    text.write_text("hello\n" * 100)
    empty = tmp_path / "empty.wav"
    empty.touch()
    picture = tmp_path / "picture.png"
    Image.fromarray(quadrants()[0]).save(picture)
    mute = make_film(tmp_path / "mute.mp4", quadrants())
    headless = tmp_path / "headless.m4a"
    make_audio(headless, tone(1, 48000), 48000)
    headless.write_bytes(headless.read_bytes()[:300])
    header = tmp_path / "header.wav"
    header.write_bytes(make_audio(tmp_path / "a.wav", tone(1, 8000), 8000).read_bytes()[:44])
    for path, message in [
        (text, "a text file"), (empty, "is empty"), (picture, "portrait comes first"),
        (mute, "video with sound"), (headless, "damaged"), (tmp_path, "is a directory"),
        (tmp_path / "none.wav", "does not exist"), (header, "damaged"),
    ]:  # fmt: skip
        for read in (probe_audio, lambda path: next(stream_pcm(path))):
            with pytest.raises(InputError) as caught:
                read(path)
            assert message in str(caught.value), path
            assert caught.value.fix


def test_damaged_middle_is_skipped(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "voice.mp3", tone(4.0, 44100, 2), 44100)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = np.random.default_rng(0).bytes(2000)
    path.write_bytes(content)
    info = probe_audio(path)
    assert 3.5 < info.duration_s <= 4.1
    assert sum(map(len, stream_pcm(path))) == round(info.duration_s * 16000)


def test_decoder_agrees_with_ffmpeg(tmp_path: Path) -> None:
    """The muxer decodes with ffmpeg what the features were computed from with libav."""
    path = make_audio(tmp_path / "voice.mp3", tone(1.5, 44100, 2), 44100)
    run_ffmpeg("-i", path, "-ac", "1", "-ar", "16000", "-f", "f32le", tmp_path / "raw")
    reference = np.fromfile(tmp_path / "raw", "<f4")
    decoded = np.concatenate(list(stream_pcm(path)))
    assert abs(len(reference) - len(decoded)) <= 1
    shared = min(len(reference), len(decoded))
    # ffmpeg sums stereo at -3 dB or averages it, depending on its version: compare the shape.
    scale = np.dot(reference[:shared], decoded[:shared]) / np.dot(decoded, decoded)
    np.testing.assert_allclose(reference[:shared] / scale, decoded[:shared], atol=2e-3)


def test_real_recordings(shared_data: Path) -> None:
    files = sorted((shared_data / "speech").iterdir())
    lossy = [file for file in files if file.suffix != ".flac"]
    for path in [*files[::30], *lossy[:3]]:
        info = probe_audio(path)
        assert sum(map(len, stream_pcm(path))) == round(info.duration_s * 16000)
