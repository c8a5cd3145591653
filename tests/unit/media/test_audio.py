from __future__ import annotations

import re
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from talkcli.errors import InputError
from talkcli.media import audio
from talkcli.media.audio import open_sound, sound_duration, stream_pcm
from tests.support.media import make_audio, make_clip, quadrants, run_ffmpeg, tone

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
    duration_s = sound_duration(path)
    assert duration_s == pytest.approx(len(original) / rate, abs=max(slack, 1e-9))
    decoded = np.concatenate(list(stream_pcm(path)))
    assert decoded.dtype == np.float32
    assert len(decoded) == round(duration_s * 16000)
    expected = tone(SECONDS, 16000)[:, 0] * (2.0 if channels == 3 else 1.0)
    if channels <= 2 and not slack:
        # In step to the sample, except at the edges where resampling filters ring; codecs at
        # 8 bits or a few dozen kbit/s stay within 0.03 of a wave of 0.3.
        middle = slice(200, min(len(decoded), len(expected)) - 200)
        assert np.abs(decoded[middle] - expected[middle]).max() < 0.03
    states_length = suffix in ("wav", "flac", "m4a", "mov")
    with open_sound(path) as sound:
        assert (sound.sample_rate, sound.channels, sound.start_s) == (rate, channels, 0)
        assert sound.exact_duration_s == (duration_s if states_length else None)
        assert sound.estimated_duration_s == pytest.approx(duration_s, rel=0.1)
        np.testing.assert_array_equal(np.concatenate(list(sound.blocks())), decoded)
        assert sound.duration_s == duration_s


@pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a", "flac"])
def test_length_of_half_a_file_is_not_believed(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).normal(0, 0.2, (88200, 1))
    options = ("-movflags", "+faststart") if suffix == "m4a" else ()
    path = make_audio(tmp_path / f"voice.{suffix}", noise, 44100, *options)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with open_sound(path) as sound:
        stated = sound.exact_duration_s
        held = sum(map(len, sound.blocks()))
        assert stated in (None, sound.duration_s)
    assert 14000 < held < 18000


def test_readers_of_one_sound_agree_at_any_pace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_audio(tmp_path / "voice.mp3", tone(5.0, 44100, 2), 44100)
    alone = np.concatenate(list(stream_pcm(path)))
    opened = 0
    true_open = audio.open_track

    def counted(path: Path) -> object:
        nonlocal opened
        opened += 1
        return true_open(path)

    monkeypatch.setattr(audio, "open_track", counted)
    for waiting_bytes, passes in ((64 << 20, 1), (44100 * 4 * 2, 2)):
        monkeypatch.setattr(audio, "_WAITING_BYTES", waiting_bytes)
        opened = 0
        with open_sound(path) as sound:
            slow, quick = sound.blocks(), sound.blocks()
            track = sound.track(44100, 2)
            first = [next(slow), next(slow)]
            assert sound.duration_s is None
            np.testing.assert_array_equal(np.concatenate(list(quick)), alone)
            assert sound.duration_s == len(alone) / 16000
            np.testing.assert_array_equal(np.concatenate([*first, *slow]), alone)
            stereo = np.concatenate(list(track))
            assert stereo.shape == (round(sound.duration_s * 44100), 2)
        # Within the memory allowed nothing is decoded twice; beyond it the slow ones do so.
        assert opened == (1 if passes == 1 else 3)


def test_a_track_is_cut_or_padded(tmp_path: Path) -> None:
    for suffix in ("wav", "mp3"):
        path = make_audio(tmp_path / f"v.{suffix}", tone(2.0, 44100, 2), 44100)
        for seconds in (0.01, 1.1, 3.3):
            with open_sound(path) as sound:
                blocks = list(sound.track(48000, 2, seconds))
            samples = np.concatenate(blocks)
            assert samples.shape == (round(seconds * 48000), 2)
            assert np.abs(samples[96500:]).max(initial=0) < 1e-4


def test_blocks_are_equal_and_complete(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "voice.wav", tone(2.6, 16000), 16000)
    blocks = list(stream_pcm(path))
    assert [len(block) for block in blocks] == [16000] * 2 + [9600]
    np.testing.assert_allclose(np.concatenate(blocks), tone(2.6, 16000)[:, 0], atol=1e-4)
    assert [len(block) for block in stream_pcm(path, rate=8000)] == [8000] * 2 + [4800]


def test_stereo_is_averaged(tmp_path: Path) -> None:
    left = np.column_stack([np.full(8000, 0.5), np.zeros(8000)])
    path = make_audio(tmp_path / "left.wav", left, 16000, "-c:a", "pcm_f32le")
    np.testing.assert_allclose(np.concatenate(list(stream_pcm(path))), 0.25, atol=1e-4)


def test_sound_of_a_clip_that_starts_late(tmp_path: Path) -> None:
    sound = make_audio(tmp_path / "voice.wav", tone(1.0, 48000), 48000)
    path = make_clip(
        tmp_path / "clip.mkv", quadrants(50), "25", "-itsoffset", "0.5", "-i", sound, "-c:a", "flac"
    )
    assert sound_duration(path) == pytest.approx(1.0)
    with open_sound(path) as opened:
        assert opened.start_s == pytest.approx(0.5, abs=0.002)
    assert sum(map(len, stream_pcm(path))) == 16000


def test_silence_and_shortest_sound_are_legal(tmp_path: Path) -> None:
    silent = make_audio(tmp_path / "silent.wav", np.zeros((1600, 1)), 16000)
    assert sound_duration(silent) == 0.1
    assert not np.concatenate(list(stream_pcm(silent))).any()
    one = make_audio(tmp_path / "one.wav", np.ones((1, 1)), 16000)
    assert [len(block) for block in stream_pcm(one)] == [1]


COUNTS = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 24, 32, 60]


@pytest.mark.parametrize("channels", COUNTS)
def test_every_number_of_channels_stays_within_full_scale(tmp_path: Path, channels: int) -> None:
    original = tone(0.5, 16000) * 3  # peaks at 0.9
    path = tmp_path / "many.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.rint(original.repeat(channels, 1) * 32767).astype("<i2").tobytes())
    with open_sound(path) as sound:
        blocks, track = sound.blocks(), sound.track(16000, sound.track_channels)
        mono, heard = np.concatenate(list(blocks)), np.concatenate(list(track))
    assert len(mono) == len(heard) == len(original)
    for samples in (mono[:, None], heard):
        assert 0.85 < np.abs(samples).max() <= 1
    if channels not in (6, 8):
        np.testing.assert_allclose(mono, original[:, 0], atol=1e-4)


@pytest.mark.parametrize("layout", ["5.1", "7.1", "quad", "4.0", "hexagonal", "7.1.4"])
def test_labelled_surround(tmp_path: Path, layout: str) -> None:
    n_channels = av.AudioLayout(layout).nb_channels
    silence = np.zeros((8000, n_channels), np.float32)
    silence[:, 0] = 0.5
    path = make_audio(
        tmp_path / "s.wav",
        silence,
        16000,
        "-c:a",
        "pcm_f32le",
        "-af",
        f"aformat=channel_layouts={layout}",
    )
    with open_sound(path) as sound:
        heard = np.concatenate(list(sound.track(16000, sound.track_channels)))
    # The front left channel alone is heard on the left as it is.
    assert sound.track_channels == 2
    np.testing.assert_allclose(heard[100:-100], np.tile([0.5, 0], (7800, 1)), atol=1e-3)


@pytest.mark.parametrize("suffix", ["mka", "wav"])
def test_many_planes(tmp_path: Path, suffix: str) -> None:
    """Decoders that give each channel apart (AAC) and that interleave (PCM)."""
    original = tone(0.5, 48000, 8)
    original[100, 3] = np.nan if suffix == "wav" else original[100, 3]
    codec = ("-c:a", "pcm_f32le") if suffix == "wav" else ("-c:a", "aac", "-b:a", "700k")
    path = make_audio(tmp_path / f"many.{suffix}", original, 48000, *codec)
    mono = np.concatenate(list(stream_pcm(path)))
    assert 0.3 < np.abs(mono).max() <= 1
    peaks = np.abs(np.fft.rfft(mono))
    assert abs(int(peaks.argmax()) * 16000 / len(mono) - 440) < 4


def test_a_layout_that_libav_cannot_mix_is_averaged(tmp_path: Path) -> None:
    path = make_audio(
        tmp_path / "s.wav", tone(0.5, 16000, 24), 16000, "-af", "aformat=channel_layouts=22.2"
    )
    with open_sound(path) as sound:
        assert sound.track_channels == 1
    np.testing.assert_allclose(
        np.concatenate(list(stream_pcm(path))), tone(0.5, 16000)[:, 0], atol=1e-4
    )


@pytest.mark.parametrize("right", [-1.0, -0.9])
def test_antiphase_stereo_is_heard(tmp_path: Path, right: float) -> None:
    left = tone(1.0, 44100)
    path = make_audio(tmp_path / "anti.wav", np.hstack([left, right * left]), 44100)
    mono = np.concatenate(list(stream_pcm(path)))
    np.testing.assert_allclose(mono[200:-200], tone(1.0, 16000)[200:-200, 0], atol=2e-3)
    with open_sound(path) as sound:
        stereo = np.concatenate(list(sound.track(44100, 2)))
    np.testing.assert_allclose(stereo, np.hstack([left, right * left]), atol=1e-4)


def test_partly_opposed_stereo_is_averaged(tmp_path: Path) -> None:
    left = tone(1.0, 16000)
    for right in (-0.5, 0.0, 0.5, 1.0):
        path = make_audio(tmp_path / "s.wav", np.hstack([left, right * left]), 16000)
        mono = np.concatenate(list(stream_pcm(path)))
        np.testing.assert_allclose(mono, left[:, 0] * (1 + right) / 2, atol=1e-4)


def test_the_default_track_is_heard(tmp_path: Path) -> None:
    loud, quiet = tone(1.0, 48000), np.zeros((48000, 1))
    tracks = [
        make_audio(tmp_path / f"{i}.wav", samples, 48000) for i, samples in enumerate((quiet, loud))
    ]
    for flagged, heard in ((0, False), (1, True)):
        path = tmp_path / f"two{flagged}.mkv"
        flags = [f"-disposition:a:{i}" for i in (0, 1)]
        run_ffmpeg(
            *("-i", tracks[0], "-i", tracks[1], "-map", "0", "-map", "1", "-c:a", "flac"),
            *(flags[flagged], "default", flags[1 - flagged], "0", path),
        )
        with open_sound(path) as sound:
            blocks, track = sound.blocks(), sound.track(48000, 1)
            for samples in (*blocks, *track):
                assert (np.abs(samples).max() > 0.01) == heard


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
        duration_s = sound_duration(path)
        assert 1.0 < duration_s < 3.0, suffix
        assert sum(map(len, stream_pcm(path))) == round(duration_s * 16000)


def test_rate_that_changes_within_a_file(tmp_path: Path) -> None:
    parts = [
        make_audio(tmp_path / f"{rate}.mp3", tone(1.0, rate), rate, "-write_xing", "0")
        for rate in (44100, 48000)
    ]
    path = tmp_path / "joined.mp3"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    duration_s = sound_duration(path)
    assert duration_s == pytest.approx(2.0, abs=0.15)
    assert sum(map(len, stream_pcm(path))) == round(duration_s * 16000)


def test_bad_inputs_are_explained(tmp_path: Path) -> None:
    text = tmp_path / "text.wav"
    text.write_text("hello\n" * 100)
    empty = tmp_path / "empty.wav"
    empty.touch()
    picture = tmp_path / "picture.png"
    Image.fromarray(quadrants()[0]).save(picture)
    mute = make_clip(tmp_path / "mute.mp4", quadrants())
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
        for read in (sound_duration, lambda path: next(stream_pcm(path))):
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
    duration_s = sound_duration(path)
    assert 3.5 < duration_s <= 4.1
    assert sum(map(len, stream_pcm(path))) == round(duration_s * 16000)


def test_damage_is_told_once_and_by_the_name_of_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_audio(tmp_path / "voice.mp3", tone(4.0, 44100, 2), 44100)
    content = bytearray(path.read_bytes())
    content[20000:22000] = np.random.default_rng(0).bytes(2000)
    path.write_bytes(content)
    with open_sound(path) as sound:
        blocks = list(sound.blocks())
        assert sum(map(len, sound.blocks())) == sum(map(len, blocks))  # decoded again
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: {damaged} damaged pieces of sound were left out"
        for damaged in re.findall(r": (\d+) damaged", caplog.text)[:1]
    ]
    assert len(caplog.records) == 1


def test_a_rate_too_low_for_speech_is_damage(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "v.wav", tone(1.0, 8000), 8000)
    content = bytearray(path.read_bytes())
    content[24:28] = (3).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(InputError, match="sample rate of 3 Hz"):
        open_sound(path)


def test_length_of_a_streamed_wav_header_is_not_believed(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "v.wav", tone(1.0, 8000), 8000)
    for size in (0xFFFFFFFF, 0, 40):
        content = bytearray(path.read_bytes())
        at = content.index(b"data") + 4
        content[at : at + 4] = size.to_bytes(4, "little")
        other = tmp_path / "streamed.wav"
        other.write_bytes(content)
        with open_sound(other) as sound:
            held = sum(map(len, sound.blocks(8000)))
            assert held == round(sound_duration(other) * 8000)
            assert sound.exact_duration_s in (None, held / 8000)


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
        duration_s = sound_duration(path)
        assert sum(map(len, stream_pcm(path))) == round(duration_s * 16000)
