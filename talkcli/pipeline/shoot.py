"""The loop over frames: motion in, encoded films out, one frame in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from talkcli.config import TRANSPARENT, VideoConfig
from talkcli.pipeline.camera import plan_yaws
from talkcli.pipeline.scene import Scene
from talkcli.progress import Reporter, Stopwatch
from talkcli.types import MotionFrame


@dataclass(frozen=True)
class FilmTarget:
    """Films of one length that are written together.

    Attributes:
        outputs: one file for all views side by side, or one per view.
        fps: frames per second.
        frames: number of frames.
        duration_s: of the sound.
        audio: file whose sound goes into the films, or None.
        overwrite: existing files may be replaced.
    """

    outputs: tuple[Path, ...]
    fps: Fraction
    frames: int
    duration_s: float
    audio: Path | None
    overwrite: bool


def write_film(
    target: FilmTarget,
    scene: Scene,
    motions: Iterator[MotionFrame],
    video: VideoConfig,
    reporter: Reporter,
    watch: Stopwatch,
) -> tuple[int, int]:
    """Pose, render, compose and encode every frame.

    Args:
        target: what is written.
        scene: draws the pictures.
        motions: at least ``target.frames`` of them.
        video: views, camera path and quality are read.
        reporter: counts frames.
        watch: gets the seconds of ``motion`` and ``encode``; the scene adds its own.

    Returns:
        Width and height of each film in pixels.
    """
    yaws_at = plan_yaws(video, target.duration_s)
    columns = len(yaws_at(0.0)) // len(target.outputs)
    width, height = columns * scene.width, scene.height
    task = reporter.begin("render", target.frames)
    with ExitStack() as stack:
        with watch.measure("encode"):
            writers = _open_writers(stack, target, video, (width, height))
        for number in range(target.frames):
            with watch.measure("motion"):
                motion = next(motions)
            pictures = scene.pictures(motion, yaws_at(float((number + 0.5) / target.fps)))
            with watch.measure("encode"):
                if columns > 1:
                    pictures = [np.concatenate(pictures, axis=1)]
                for writer, picture in zip(writers, pictures, strict=True):
                    writer.write(picture)
            task.advance()
        with watch.measure("encode"):
            stack.close()
    reporter.end(task)
    return width, height


def _open_writers(
    stack: ExitStack, target: FilmTarget, video: VideoConfig, size: tuple[int, int]
) -> Sequence[Any]:
    from talkcli.media.write import Encoding, VideoWriter

    return [
        stack.enter_context(
            VideoWriter(
                path,
                width=size[0],
                height=size[1],
                fps=target.fps,
                duration_s=target.duration_s,
                audio=target.audio,
                overwrite=target.overwrite,
                encoding=Encoding(crf=video.crf, alpha=video.bg == TRANSPARENT),
            )
        )
        for path in target.outputs
    ]
