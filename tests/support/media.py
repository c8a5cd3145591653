"""Small clips and recordings for the media tests, made by the bundled ffmpeg."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import numpy as np

from talkcli.media.audio import Sound, open_sound
from talkcli.media.encoder import find_ffmpeg
from talkcli.media.write import FrameFormat, VideoWriter

FPS_25 = Fraction(25)
SMALL = FrameFormat(64, 48, FPS_25)


def run_ffmpeg(*arguments: str | Path, stdin: bytes = b"") -> None:
    """Run the bundled ffmpeg and fail loudly."""
    command = [find_ffmpeg(), "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def tone(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    """``[n, channels]`` float32: 440 Hz with a swell, so that shifts and gaps show."""
    time = np.arange(round(seconds * rate)) / rate
    wave = 0.3 * np.sin(2 * np.pi * 440 * time) * (0.5 + 0.5 * np.sin(2 * np.pi * time))
    return np.repeat(wave[:, None], channels, 1).astype(np.float32)


def make_audio(path: Path, samples: np.ndarray, rate: int, *codec: str) -> Path:
    """Encode ``[n, channels]`` float samples; the suffix picks format and codec."""
    run_ffmpeg(
        *("-f", "f32le", "-ar", str(rate), "-ac", str(samples.shape[1]), "-i", "pipe:0"),
        *codec,
        path,
        stdin=samples.astype("<f4").tobytes(),
    )
    return path


def make_clip(path: Path, frames: np.ndarray, fps: str = "25", *options: str | Path) -> Path:
    """Encode ``[n, H, W, 3]`` uint8 frames as BT.601 H.264 without sound."""
    _, height, width, _ = frames.shape
    run_ffmpeg(
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-framerate", fps),
        *("-i", "pipe:0", *options, "-pix_fmt", "yuv420p", path),
        stdin=frames.tobytes(),
    )
    return path


def quadrants(n: int = 5, height: int = 48, width: int = 64) -> np.ndarray:
    """``[n, H, W, 3]``: red, green / blue, black quarters, whose order shows every turn."""
    frames = np.zeros((n, height, width, 3), np.uint8)
    frames[:, : height // 2, : width // 2] = (255, 0, 0)
    frames[:, : height // 2, width // 2 :] = (0, 255, 0)
    frames[:, height // 2 :, : width // 2] = (0, 0, 255)
    return frames


def corners(rgb: np.ndarray) -> str:
    """Name the colours of the four corners, in reading order: "RGBK" for :func:`quadrants`."""
    names = ""
    for y, x in ((4, 4), (4, -5), (-5, 4), (-5, -5)):
        pixel = rgb[y, x, :3].astype(int)
        names += "RGB"[int(pixel.argmax())] if pixel.max() > 128 else "K"
    return names


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
    """The names in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())
