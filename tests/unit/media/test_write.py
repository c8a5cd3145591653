from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from talkcli.errors import (
    InputError,
    InterruptedRunError,
    MissingDependencyError,
    TalkcliError,
    UsageError,
)
from talkcli.media.audio import Sound, open_sound, sound_duration, stream_pcm
from talkcli.media.encoder import Encoder, find_ffmpeg
from talkcli.media.image import read_image
from talkcli.media.read import probe, read_frames
from talkcli.media.write import (
    Encoding,
    FrameFormat,
    VideoWriter,
    check_target,
    frame_count,
    parse_fps,
)
from tests.support.media import make_audio, make_clip, quadrants, tone

FPS_25 = Fraction(25)
SMALL = FrameFormat(64, 48, FPS_25)


def write_video(
    path: Path,
    frames: np.ndarray,
    fps: Fraction = FPS_25,
    audio: Path | Sound | None = None,
    **settings: object,
) -> Path:
    """Write ``[n, H, W, C]`` frames with defaults that tests override."""
    n, height, width, _ = frames.shape
    options: dict = {"duration_s": n / 25, **settings}
    with ExitStack() as stack:
        sound = stack.enter_context(open_sound(audio)) if isinstance(audio, Path) else audio
        shape = FrameFormat(width, height, fps)
        writer = stack.enter_context(VideoWriter(path, shape, sound=sound, **options))
        for frame in frames:
            writer.write(frame)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


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


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    """``[8, 8, 3]``: greys, primaries, skin and random colours."""
    fixed = [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0),
             (0, 255, 255), (255, 0, 255), (128, 128, 128), (194, 150, 130)]  # fmt: skip
    random = np.random.default_rng(1).integers(0, 256, (54, 3))
    return np.concatenate([np.array(fixed), random]).reshape(8, 8, 3).astype(np.uint8)


def chart(patches: np.ndarray) -> np.ndarray:
    return patches.repeat(32, 0).repeat(32, 1)


def centres(image: np.ndarray) -> np.ndarray:
    """Mean of the middle 8 x 8 pixels of each 32-pixel patch, ``[8, 8, C]``."""
    rows = image.reshape(8, 32, 8, 32, -1)[:, 12:20, :, 12:20].astype(float)
    return rows.mean((1, 3))


def test_colours_are_bt709_and_say_so(tmp_path: Path, patches: np.ndarray) -> None:
    path = write_video(tmp_path / "chart.mp4", chart(patches)[None].repeat(4, 0))
    with av.open(str(path)) as container:
        frame = list(container.decode(video=0))[2]
    assert frame.format.name == "yuv420p"
    assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (1, 1, 1)
    assert frame.color_range == 1  # tv, 16-235
    planes = [
        np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width].astype(float)
        for plane in frame.planes
    ]
    # The inverse of ITU-R BT.709, by hand: not by the library that made it.
    luma = (planes[0] - 16) / 219
    blue, red = ((plane.repeat(2, 0).repeat(2, 1) - 128) / 224 for plane in planes[1:])
    rgb = 255 * np.dstack(
        [luma + 1.5748 * red, luma - 0.1873 * blue - 0.4681 * red, luma + 1.8556 * blue]
    )
    # Worst measured 1.7 levels: 8-bit chroma, quantised at crf 18.
    assert np.abs(centres(rgb) - patches).max() <= 2.5
    read_back = list(read_frames(path))[2].rgb
    assert np.abs(centres(read_back) - patches).max() <= 2.5


def test_mp4_starts_fast_and_carries_nothing_private(tmp_path: Path) -> None:
    audio = make_audio(
        tmp_path / "voice.mp3", tone(1, 44100), 44100, "-metadata", "title=My private diary"
    )
    content = write_video(tmp_path / "out.mp4", quadrants(25), audio=audio).read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    assert b"diary" not in content


def test_frames_may_be_reused_and_need_not_be_contiguous(tmp_path: Path) -> None:
    buffer = np.zeros((64, 128, 3), np.uint8)
    square = FrameFormat(64, 64, FPS_25)
    with VideoWriter(tmp_path / "out.mp4", square, duration_s=0.8) as writer:
        for i in range(20):
            buffer[:] = 10 * i
            writer.write(buffer[:, ::2])
    levels = [frame.rgb.mean() for frame in read_frames(tmp_path / "out.mp4")]
    assert levels == pytest.approx([10 * i for i in range(20)], abs=2)


def test_transparent_mov(tmp_path: Path, patches: np.ndarray) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    rgba = np.dstack([chart(patches), ramp])
    audio = make_audio(tmp_path / "voice.wav", tone(1, 16000), 16000)
    path = write_video(
        tmp_path / "out.mov", rgba[None].repeat(25, 0), audio=audio, encoding=Encoding(alpha=True)
    )
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert frame.format.name.startswith("yuva444p1")
        decoded = frame.reformat(
            format="rgba", src_colorspace=1, src_color_range=1, dst_color_range=2
        ).to_ndarray()
    assert np.abs(centres(decoded)[..., :3] - patches).max() <= 2
    assert np.abs(decoded[..., 3].astype(int) - ramp).max() <= 1
    assert sound_duration(path) == 1.0


def test_opaque_mov_is_h264(tmp_path: Path) -> None:
    with av.open(str(write_video(tmp_path / "out.mov", quadrants(3)))) as container:
        assert container.streams.video[0].codec_context.name == "h264"


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


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("out.mp4", {"frames": FrameFormat(63, 48, FPS_25)}, "odd side"),
        ("out.mp4", {"frames": FrameFormat(64, 31, FPS_25)}, "odd side"),
        ("out.avi", {}, ".avi"),
        ("out.mp4", {"encoding": Encoding(alpha=True)}, "transparency"),
        ("out.mp4", {"encoding": Encoding(sound_file=True)}, "--with-sound"),
        ("out.mp4", {"duration_s": 0.0}, "0.0 s"),
        ("out.mp4", {"duration_s": float("nan")}, "nan s"),
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, name: str, settings: dict, message: str) -> None:
    defaults: dict = {"frames": SMALL, "duration_s": 1.0}
    with pytest.raises(UsageError, match=message):
        VideoWriter(tmp_path / name, **(defaults | settings))
    assert names(tmp_path) == []


def test_wrong_number_of_frames_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="5 frames were written, 25 make"):
        write_video(tmp_path / "out.mp4", quadrants(5), duration_s=1.0)
    assert names(tmp_path) == []


def test_wrong_frames_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        write_video(tmp_path / "out.mp4", quadrants(5).astype(float))
    writer = VideoWriter(tmp_path / "out.mp4", SMALL, duration_s=1.0)
    with pytest.raises(ValueError, match="with block"):
        writer.write(quadrants(1)[0])
    assert names(tmp_path) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file_alone(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"precious")
    with (
        pytest.raises(error),
        VideoWriter(path, SMALL, duration_s=9.0, overwrite=True) as writer,
    ):
        writer.write(quadrants(1)[0])
        raise error
    assert path.read_bytes() == b"precious"
    assert names(tmp_path) == ["out.mp4"]


def test_check_target(tmp_path: Path) -> None:
    check_target(tmp_path / "new" / "out.mp4", overwrite=False)
    (tmp_path / "out.mp4").touch()
    with pytest.raises(InputError, match="already exists; use -y"):
        check_target(tmp_path / "out.mp4", overwrite=False)
    check_target(tmp_path / "out.mp4", overwrite=True)
    with pytest.raises(InputError, match="is a directory"):
        check_target(make_directory(tmp_path / "dir.mp4"), overwrite=True)
    with pytest.raises(UsageError, match="transparency"):
        check_target(tmp_path / "a.mp4", overwrite=False, alpha=True)
    check_target(tmp_path / "frames", overwrite=False, alpha=True)


def make_directory(path: Path) -> Path:
    path.mkdir()
    return path


KILLED_RUN = """
    import os, signal, sys
    from fractions import Fraction
    import numpy as np
    from talkcli.media.write import FrameFormat, VideoWriter

    with VideoWriter(sys.argv[1], FrameFormat(64, 48, Fraction(25)), duration_s=9.0) as writer:
        for _ in range(100):
            writer.write(np.zeros((48, 64, 3), np.uint8))
        os.kill(os.getpid(), signal.SIGKILL)
"""


def wait_for_orphan(left: Path) -> None:
    """Wait until the ffmpeg of a killed run has noticed, and writes no more."""
    seen: list[tuple[str, int]] = []
    unchanged = 0
    while unchanged < 20:
        files = sorted(left.iterdir()) if left.is_dir() else [left]
        now = [(file.name, file.stat().st_size) for file in files]
        unchanged = unchanged + 1 if now == seen and now and now[0][1] else 0
        seen = now
        time.sleep(0.02)


@pytest.mark.parametrize("name", ["out.mp4", "frames"])
def test_a_killed_run_leaves_only_a_hidden_file_that_the_next_removes(
    tmp_path: Path, name: str
) -> None:
    command = [sys.executable, "-c", textwrap.dedent(KILLED_RUN), str(tmp_path / name)]
    done = subprocess.run(command, check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == -signal.SIGKILL
    left = names(tmp_path)
    assert len(left) == 1
    assert left[0].startswith(".talkcli-")
    wait_for_orphan(tmp_path / left[0])
    write_video(tmp_path / name, quadrants(2))
    assert names(tmp_path) == [name]


def test_two_runs_in_one_directory_leave_each_other_alone(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", SMALL, duration_s=0.04) as a:
        with VideoWriter(tmp_path / "b.mp4", SMALL, duration_s=0.04) as b:
            b.write(quadrants(1)[0])
        a.write(quadrants(1)[0])
    assert names(tmp_path) == ["a.mp4", "b.mp4"]
    assert probe(tmp_path / "a.mp4").n_frames == 1


def fake_ffmpeg(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "fake-ffmpeg"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("TALKCLI_FFMPEG", str(path))


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        ("head -c 9999 >&-; echo 'write: No space left on device' >&2; exit 228",
         InputError, "no space is left to write out.mp4"),
        ("cat > /dev/null; echo 'trailer: No space left on device' >&2; exit 1",
         InputError, "no space is left"),
        ("echo \"Unknown encoder 'libx264'\" >&2; exit 8", MissingDependencyError, "libx264"),
        ("echo first >&2; echo 'something odd' >&2; exit 1", TalkcliError, "something odd"),
        ("exit 3", TalkcliError, "status 3 and no message"),
        ("kill -KILL $$", InterruptedRunError, r"killed by signal 9 \(SIGKILL\).*memory"),
        ("echo odd >&2; kill -TERM $$", InterruptedRunError, r"signal 15 \(SIGTERM\)"),
        ("cat > /dev/null; kill -KILL $$", InterruptedRunError, r"\(SIGKILL\).* out\.mp4"),
        ("ulimit -c 0; kill -SEGV $$", TalkcliError, r"signal 11 \(SIGSEGV\).*doctor"),
        ("exec <&-; sleep 0.2; echo 'late words' >&2; exit 1", TalkcliError, "late words"),
    ],
)  # fmt: skip
def test_failures_of_ffmpeg_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, kind: type, message: str
) -> None:
    fake_ffmpeg(tmp_path, script, monkeypatch)
    frames = np.zeros((30, 128, 128, 3), np.uint8)
    (tmp_path / "out").mkdir()
    with pytest.raises(TalkcliError, match=message) as caught:
        write_video(tmp_path / "out" / "out.mp4", frames)
    assert type(caught.value) is kind
    assert names(tmp_path / "out") == []


def test_frames_queue_while_ffmpeg_is_busy_and_kill_ends_it(tmp_path: Path) -> None:
    encoder = Encoder(["sh", "-c", "exec sleep 100"], tmp_path / "out.mp4")
    # One is being written into the pipe, two wait; none of this may block.
    for _ in range(3):
        encoder.put(bytes(4 << 20))
    encoder.kill()
    encoder.kill()
    with pytest.raises(TalkcliError):
        encoder.finish()


def test_ffmpeg_is_the_bundled_one_unless_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TALKCLI_FFMPEG", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "imageio_ffmpeg" in find_ffmpeg()
    monkeypatch.setenv("TALKCLI_FFMPEG", sys.executable)
    assert os.path.samefile(find_ffmpeg(), sys.executable)
    monkeypatch.setenv("TALKCLI_FFMPEG", str(tmp_path / "none"))
    with pytest.raises(MissingDependencyError, match="none"):
        find_ffmpeg()


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
