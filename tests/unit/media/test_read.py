from __future__ import annotations

import gc
import logging
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from talkcli.errors import InputError
from talkcli.media.audio import open_sound
from talkcli.media.read import probe, read_frames
from tests.support.media import corners, make_audio, make_clip, quadrants, run_ffmpeg, tone


def copy_with(path: Path, source: Path, *options: str) -> Path:
    """Remux with input options such as a display rotation."""
    run_ffmpeg(*options, "-i", source, "-c", "copy", path)
    return path


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "RGBK"),
        (["-display_rotation", "90"], "GKRB"),  # counter-clockwise, as ffmpeg counts
        (["-display_rotation", "-90"], "BRKG"),
        (["-display_rotation", "180"], "KBGR"),
        (["-display_hflip"], "GRKB"),
        (["-display_vflip"], "BKRG"),
        (["-display_rotation", "90", "-display_hflip"], "KGBR"),
    ],
)
def test_rotation_and_mirroring(tmp_path: Path, options: list[str], expected: str) -> None:
    plain = make_clip(tmp_path / "plain.mp4", quadrants())
    path = copy_with(tmp_path / "turned.mp4", plain, *options)
    frames = list(read_frames(path))
    assert corners(frames[0].rgb) == expected
    # ffmpeg's own idea of upright.
    run_ffmpeg("-i", path, "-frames:v", "1", tmp_path / "upright.png")
    assert corners(np.asarray(Image.open(tmp_path / "upright.png"))) == expected


def test_probe_clip_with_sound(tmp_path: Path) -> None:
    sound = make_audio(tmp_path / "voice.wav", tone(1.0, 16000), 16000)
    path = make_clip(tmp_path / "clip.mp4", quadrants(24), "24000/1001", "-i", sound, "-c:a", "aac")
    info = probe(path)
    assert (info.has_audio, info.has_video) == (True, True)
    assert info.fps == Fraction(24000, 1001)
    assert info.n_frames == 24
    assert info.duration_s == pytest.approx(1.0, abs=0.05)


def test_probe_recording_with_cover(tmp_path: Path) -> None:
    Image.fromarray(quadrants()[0]).save(tmp_path / "cover.jpg")
    sound = make_audio(tmp_path / "voice.wav", tone(1.0, 16000), 16000)
    path = tmp_path / "album.mp3"
    run_ffmpeg(
        *("-i", sound, "-i", tmp_path / "cover.jpg", "-map", "0:a", "-map", "1:v"),
        *("-c:v", "copy", "-disposition:v:0", "attached_pic", path),
    )
    info = probe(path)
    assert (info.has_audio, info.has_video, info.fps) == (True, False, None)
    with pytest.raises(InputError, match="a sound recording"):
        next(read_frames(path))


def test_variable_frame_times(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.12, 0.5, 0.533, 2.0]
    path = tmp_path / "uneven.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        for time, rgb in zip(times, quadrants(len(times)), strict=True):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="bgr0")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert [frame.time_s for frame in read_frames(path)] == pytest.approx(times, abs=5e-4)


def test_times_count_from_the_start_of_the_file(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "late.mkv", quadrants(5), "25", "-output_ts_offset", "7")
    times = [frame.time_s for frame in read_frames(path)]
    assert times == pytest.approx([0, 0.04, 0.08, 0.12, 0.16], abs=1e-3)


def test_one_bad_frame_is_skipped_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # MJPEG: every frame on its own, so that exactly one is lost.
    path = make_clip(tmp_path / "clip.avi", quadrants(10), "25", "-c:v", "mjpeg", "-strict", "-1")
    content = bytearray(path.read_bytes())
    starts = [i for i in range(len(content)) if content[i : i + 3] == b"\xff\xd8\xff"]
    n_bytes = min(600, starts[5] - starts[4] - 16)  # not into the next frame's header
    content[starts[4] : starts[4] + n_bytes] = bytes(n_bytes)
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        frames = list(read_frames(path))
    assert len(frames) == 9
    assert [frame.skipped for frame in frames] == [0] * 4 + [1] * 5
    assert frames[4].time_s == pytest.approx(0.2, abs=1e-3)
    assert "damaged frames left out: 1" in caplog.text


def test_truncated_clip_ends_early(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 48, 64, 3)).astype(np.uint8)
    path = make_clip(tmp_path / "clip.mkv", noise, "25", "-g", "5")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    n_frames = sum(1 for _ in read_frames(path))
    assert 11 <= n_frames <= 15  # noise: every frame has its share of the bytes


def test_max_side(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", quadrants(2, 96, 128))
    assert next(read_frames(path, max_side=64)).rgb.shape == (48, 64, 3)
    assert next(read_frames(path, max_side=999)).rgb.shape == (96, 128, 3)
    assert corners(next(read_frames(path, max_side=64)).rgb) == "RGBK"


def test_pixel_aspect_is_squared(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "wide.mp4", quadrants(2), "25", "-vf", "setsar=2/1")
    assert next(read_frames(path)).rgb.shape == (48, 128, 3)


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
@pytest.mark.parametrize("value_range", ["tv", "pc"])
def test_colour_matrix_and_range_are_honoured(
    tmp_path: Path, matrix: str, value_range: str
) -> None:
    rng = np.random.default_rng(3)
    patches = rng.integers(0, 256, (3, 4, 3)).astype(np.uint8)
    chart = patches.repeat(16, 0).repeat(16, 1)[None]
    path = make_clip(
        tmp_path / "chart.mp4", chart, "25",
        "-vf", f"scale=out_color_matrix={matrix}:out_range={value_range}:flags=accurate_rnd",
        "-colorspace", matrix, "-color_range", value_range, "-crf", "4",
    )  # fmt: skip
    rgb = next(read_frames(path)).rgb[8::16, 8::16]
    # Worst measured: 2 levels, the rounding of 8-bit YUV twice.
    assert np.abs(rgb.astype(int) - patches).max() <= 3


def test_animated_gif_is_a_clip(tmp_path: Path) -> None:
    path = tmp_path / "moving.gif"
    pages = [Image.fromarray(rgb) for rgb in (quadrants()[0], quadrants()[0][::-1].copy())]
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=100)
    assert [corners(frame.rgb) for frame in read_frames(path)][:2] == ["RGBK", "BKRG"]


def test_bad_inputs_are_explained(tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    Image.fromarray(quadrants()[0]).save(picture)
    text = tmp_path / "text.mp4"
    text.write_text("not a clip\n" * 50)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    clip = make_clip(tmp_path / "clip.mp4", quadrants())
    headless = tmp_path / "headless.mp4"
    headless.write_bytes(clip.read_bytes()[:200])
    playlist = tmp_path / "list.mp4"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://localhost:1/a.ts\n")
    # libav finds the JPEG in it, and would take the document for a clip of one frame.
    document = tmp_path / "document.mp4"
    Image.fromarray(quadrants()[0]).save(document, format="PDF")
    for path, message in [
        (picture, "a picture"), (text, "a text file"), (empty, "is empty"),
        (headless, "damaged"), (tmp_path, "is a directory"), (tmp_path / "no.mp4", "not exist"),
        (playlist, "a playlist"), (document, "a PDF document"),
    ]:  # fmt: skip
        for read in (probe, lambda path: next(read_frames(path))):
            with pytest.raises(InputError) as caught:
                read(path)
            assert message in str(caught.value)
            assert caught.value.fix


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4", "list.wav", "list.ts"])
@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\n{path}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\n{name}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\nfile://{path}\n#EXT-X-ENDLIST\n",
        "\ufeff#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\n../{folder}/{name}\n",
        "ffconcat version 1.0\nfile {name}\n",
        "ffconcat version 1.0\nfile '{path}'\n",
        "[playlist]\nFile1={path}\n",
    ],
)
def test_playlists_open_no_other_file(tmp_path: Path, name: str, content: str) -> None:
    voice = make_audio(tmp_path / "voice.wav", tone(2, 8000), 8000)
    playlist = tmp_path / name
    playlist.write_text(content.format(path=voice, name=voice.name, folder=tmp_path.name))
    for read in (probe, open_sound, lambda path: next(read_frames(path))):
        with pytest.raises(InputError, match="it is a playlist"):
            read(playlist)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_behind_a_playlist_blocks_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    playlist = tmp_path / "list.wav"
    playlist.write_text("ffconcat version 1.0\nfile pipe.wav\n")
    for path, message in ((playlist, "a playlist"), (tmp_path / "pipe.wav", "not a regular file")):
        with pytest.raises(InputError, match=message):
            open_sound(path)


def test_a_list_that_hides_behind_zeros_is_no_playlist_either(tmp_path: Path) -> None:
    """Whatever a file is called and however it begins: only containers are opened."""
    voice = make_audio(tmp_path / "voice.wav", tone(2, 8000), 8000)
    playlist = tmp_path / "list.m3u8"
    playlist.write_bytes(f"#EXTM3U\n#EXTINF:2,\n{voice}\n#EXT-X-ENDLIST\n".encode() + bytes(99))
    for read in (probe, open_sound, lambda path: next(read_frames(path))):
        with pytest.raises(InputError):
            read(playlist)


def test_odd_names(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", quadrants())
    for name in ("-i.mp4", "100%d.mp4", "a:b.mp4", "späth ß.mp4", "concat:x.mp4"):
        path = tmp_path / name
        path.write_bytes(clip.read_bytes())
        assert probe(path).has_video


def test_real_clips(shared_data: Path) -> None:
    for path in sorted((shared_data / "clips").glob("*.mp4"))[::40]:
        info = probe(path)
        frames = read_frames(path, max_side=128)
        first, second = next(frames), next(frames)
        assert max(first.rgb.shape) <= 128
        assert 0 <= first.time_s < second.time_s
        assert info.fps is not None and second.time_s - first.time_s < 3 / info.fps
        frames.close()


def test_frames_at_the_beginning_can_be_left_out(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", quadrants(6))
    whole, later = list(read_frames(clip)), list(read_frames(clip, skip=4))
    assert [frame.time_s for frame in later] == [frame.time_s for frame in whole[4:]]
    assert all((a.rgb == b.rgb).all() for a, b in zip(later, whole[4:], strict=True))
    assert list(read_frames(clip, skip=9)) == []


def test_decoded_frames_are_freed_at_once(tmp_path: Path) -> None:
    """Not only when the garbage collector runs, which may be after gigabytes of frames."""
    clip = make_clip(tmp_path / "clip.mp4", quadrants(40))
    gc.collect()
    gc.disable()
    try:
        assert sum(1 for _ in read_frames(clip)) == 40
        left = sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects())
    finally:
        gc.enable()
    # The first frame, whose display matrix is read, may wait for the collector.
    assert left <= 2
