"""Colours, transparency and containers of written videos."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from talkcli.media.audio import sound_duration
from talkcli.media.read import read_frames
from talkcli.media.write import (
    Encoding,
    FrameFormat,
    VideoWriter,
)
from tests.support.media import (
    FPS_25,
    make_audio,
    quadrants,
    tone,
    write_video,
)


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
