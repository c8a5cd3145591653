"""Small clips and recordings for the media tests, made by the bundled ffmpeg."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from talkcli.media.encoder import find_ffmpeg


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
