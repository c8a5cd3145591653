"""Length, rate and sound of written videos."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from talkcli.errors import (
    InputError,
    UsageError,
)
from talkcli.media.audio import open_sound, sound_duration, stream_pcm
from talkcli.media.read import probe
from talkcli.media.write import (
    Encoding,
    VideoWriter,
    frame_count,
    parse_fps,
)
from tests.support.media import (
    FPS_25,
    SMALL,
    make_audio,
    make_clip,
    names,
    quadrants,
    tone,
    write_video,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("25", Fraction(25)), ("23.976", Fraction(24000, 1001)), ("23.98", Fraction(24000, 1001)),
        ("29.97", Fraction(30000, 1001)), ("59.94", Fraction(60000, 1001)), (24, Fraction(24)),
        ("24000/1001", Fraction(24000, 1001)), (12.5, Fraction(25, 2)), ("60", Fraction(60)),
        (29.97, Fraction(30000, 1001)), (" 30 ", Fraction(30)), ("23.9", Fraction(239, 10)),
    ],
)  # fmt: skip
def test_parse_fps(text: str | float, expected: Fraction) -> None:
    assert parse_fps(text) == expected


@pytest.mark.parametrize(
    "text",
    ["fast", "", "0", "-25", "1/0", "1000", float("nan"), "inf", "1e999999999",
     "1e-999999999", 1e300, "9" * 100_000, "25/" + "9" * 100_000, "2_5", "25,0", "25/1/1"],
)  # fmt: skip
def test_parse_fps_refuses(text: str | float) -> None:
    with pytest.raises(UsageError, match="--fps"):
        parse_fps(text)


@pytest.mark.parametrize("fps", ["10", "23.976", "25", "29.97", "30", "48", "50", "59.94", "60"])
def test_frame_count_is_within_half_a_frame(fps: str) -> None:
    rate = parse_fps(fps)
    for duration in np.random.default_rng(0).uniform(0.1, 700, 200):
        assert abs(frame_count(duration, rate) / rate - Fraction(duration)) <= 1 / rate / 2
    assert frame_count(0.001, rate) == 1


SOURCES = {
    "mp3": ("voice.mp3", 44100, 2),
    "wav": ("voice.wav", 8000, 1),
    "m4a": ("voice.m4a", 48000, 1),
    "ogg": ("voice.ogg", 44100, 2),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("fps_text", ["10", "23.976", "25", "29.97", "30", "50", "60"])
def test_durations_of_picture_and_sound(tmp_path: Path, source: str, fps_text: str) -> None:
    name, rate, channels = SOURCES[source]
    audio = make_audio(tmp_path / name, tone(1.337, rate, channels), rate)
    duration, fps = sound_duration(audio), parse_fps(fps_text)
    n_frames = frame_count(duration, fps)
    frames = np.arange(n_frames, dtype=np.uint8)[:, None, None, None] * np.ones(
        (1, 32, 48, 3), np.uint8
    )
    path = write_video(tmp_path / "o.mp4", frames, fps=fps, duration_s=duration, audio=audio)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == fps
        picture_s = stream.duration * stream.time_base
        times = [frame.time for frame in container.decode(stream)]
    assert times == pytest.approx([float(i / fps) for i in range(n_frames)], abs=1e-6)
    assert picture_s == n_frames / fps
    assert abs(picture_s - Fraction(duration)) <= 1 / fps / 2
    with open_sound(path) as sound:
        assert (sound.channels, sound.start_s) == (channels, 0)
        assert sound.sample_rate in (44100, 48000)
    # Two samples: one for rounding to the rate of the AAC track, and Vorbis comes out one short.
    assert sound_duration(path) == pytest.approx(duration, abs=2 / sound.sample_rate)
    original = np.concatenate(list(stream_pcm(audio)))
    muxed = np.concatenate(list(stream_pcm(path)))
    lag = lag_of(muxed, original)
    assert abs(lag) <= 1, "the sound drifted or was shifted"


def lag_of(late: np.ndarray, original: np.ndarray) -> int:
    """Samples by which ``late`` is behind ``original``, by the envelope and the wave together."""
    size = 2 * max(len(late), len(original))
    spectrum = np.fft.rfft(late, size) * np.conj(np.fft.rfft(original, size))
    lag = int(np.fft.irfft(spectrum, size).argmax())
    return lag - size if lag > size // 2 else lag


def test_sound_is_cut_or_padded_to_the_duration(tmp_path: Path) -> None:
    audio = make_audio(tmp_path / "voice.wav", tone(1.0, 44100, 2), 44100)
    for n_frames in (10, 50):
        path = write_video(tmp_path / f"{n_frames}.mp4", quadrants(n_frames), audio=audio)
        assert sound_duration(path) == n_frames / 25


@pytest.mark.parametrize("suffix", ["wav", "mp3", "ogg"])
def test_length_that_shows_only_while_decoding(tmp_path: Path, suffix: str) -> None:
    """Motion and encoder read one sound; the number of frames is settled at its end."""
    audio = make_audio(tmp_path / f"voice.{suffix}", tone(2.3, 44100, 2), 44100)
    frame = quadrants(1)[0]
    outputs = [tmp_path / "a.mp4", tmp_path / "b.mov"]
    with open_sound(audio) as sound, ExitStack() as stack:
        blocks = sound.blocks()
        writers = [
            stack.enter_context(VideoWriter(path, SMALL, duration_s=None, sound=sound))
            for path in outputs
        ]
        samples = 0
        for block in blocks:
            samples += len(block)
            for writer in writers:
                while writer.frames_written < samples / 16000 * 25 - 1:
                    writer.write(frame)
        assert sound.duration_s is not None
        for writer in writers:
            while writer.frames_written < frame_count(sound.duration_s, FPS_25):
                writer.write(frame)
    expected = sound_duration(audio)
    assert sound.duration_s == expected
    for path in outputs:
        assert sound_duration(path) == pytest.approx(expected, abs=1.01 / 44100)
        heard, original = (np.concatenate(list(stream_pcm(p))) for p in (path, audio))
        assert abs(lag_of(heard, original)) <= 1


def test_too_few_frames_for_a_sound_whose_length_shows_at_its_end(tmp_path: Path) -> None:
    audio = make_audio(tmp_path / "voice.mp3", tone(1.0, 44100), 44100)
    with pytest.raises(ValueError, match=r"2 frames were written, 2[56] make 1"):
        write_video(tmp_path / "o.mp4", quadrants(2), duration_s=None, audio=audio)
    assert names(tmp_path) == ["voice.mp3"]


def test_silent_video_as_long_as_its_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "o.mp4", quadrants(7), duration_s=None)
    assert probe(path).n_frames == 7


def check_long(tmp_path: Path, seconds: int) -> None:
    """Pictures and sound pass side by side however unequal they are, in constant memory."""
    audio = make_audio(tmp_path / "v.wav", np.tile(tone(60, 8000), (seconds // 60, 1)), 8000)
    frames = np.broadcast_to(quadrants(1), (seconds, 48, 64, 3))
    given: dict = {"fps": Fraction(1), "duration_s": seconds, "audio": audio}
    path = write_video(tmp_path / "o.mp4", frames, **given)
    assert probe(path).n_frames == seconds
    assert sound_duration(path) == seconds
    if seconds > 60:
        return
    folder = write_video(tmp_path / "o", frames, encoding=Encoding(sound_file=True), **given)
    assert len(names(folder)) == seconds + 1
    assert sound_duration(folder / "sound.wav") == seconds


def test_a_minute_at_one_frame_per_second(tmp_path: Path) -> None:
    check_long(tmp_path, 60)


@pytest.mark.slow
def test_an_hour_at_one_frame_per_second(tmp_path: Path) -> None:
    check_long(tmp_path, 3600)


def test_numbers_that_are_none_do_not_reach_the_encoder(tmp_path: Path) -> None:
    samples = tone(0.4, 44100, 2)
    for i, value in enumerate((np.nan, np.inf, -np.inf, 1e20, 3e38)):
        samples[1000 * (i + 1), i % 2] = value
    audio = make_audio(tmp_path / "odd.wav", samples, 44100, "-c:a", "pcm_f32le")
    path = write_video(tmp_path / "o.mp4", quadrants(10), audio=audio)
    muxed = np.concatenate(list(stream_pcm(path)))
    original = np.concatenate(list(stream_pcm(audio)))
    assert np.abs(original).max() < 0.4
    # A silenced sample is a click, which AAC smears over a few milliseconds.
    assert np.abs(muxed - original).mean() < 0.01


def test_a_recording_that_vanishes_is_told(
    tmp_path: Path,
) -> None:
    audio = make_audio(tmp_path / "v.wav", tone(1.0, 44100), 44100)
    with open_sound(audio) as sound:
        next(sound.blocks())  # the writer comes too late to share the decoder
        audio.unlink()
        with pytest.raises(InputError, match=r"v\.wav does not exist"):
            write_video(tmp_path / "o.mp4", quadrants(25), audio=sound)
    assert names(tmp_path) == []


def test_sound_of_a_clip_that_starts_late_begins_at_once(tmp_path: Path) -> None:
    voice = make_audio(tmp_path / "voice.wav", tone(1.0, 48000), 48000)
    clip = make_clip(
        tmp_path / "clip.mkv", quadrants(50), "25", "-itsoffset", "0.5", "-i", voice, "-c:a", "flac"
    )
    path = write_video(tmp_path / "out.mp4", quadrants(25), audio=clip)
    original = np.concatenate(list(stream_pcm(clip)))
    assert abs(lag_of(np.concatenate(list(stream_pcm(path))), original)) <= 1


@pytest.mark.parametrize("channels", [3, 6])
def test_surround_becomes_stereo(tmp_path: Path, channels: int) -> None:
    audio = make_audio(tmp_path / "voice.wav", tone(0.5, 32000, channels), 32000)
    path = write_video(tmp_path / "out.mp4", quadrants(12), duration_s=0.5, audio=audio)
    with open_sound(path) as sound:
        assert (sound.channels, sound.sample_rate) == (2, 48000)


def test_real_speech(tmp_path: Path, shared_data: Path) -> None:
    for audio in sorted((shared_data / "speech").glob("*.m*"))[:2]:
        duration = sound_duration(audio)
        fps = Fraction(30000, 1001)
        frames = np.zeros((frame_count(duration, fps), 16, 16, 3), np.uint8)
        path = write_video(
            tmp_path / "o.mp4", frames, fps=fps, duration_s=duration, audio=audio, overwrite=True
        )
        original = np.concatenate(list(stream_pcm(audio)))
        muxed = np.concatenate(list(stream_pcm(path)))
        assert abs(len(original) - len(muxed)) <= 1
        assert abs(lag_of(muxed, original)) <= 1
