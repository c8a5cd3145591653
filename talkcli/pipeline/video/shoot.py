"""From motion to encoded films: stages that overlap, a handful of frames in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from talkcli.config import TRANSPARENT, VideoConfig
from talkcli.pipeline.video.relay import Relay, ring_size
from talkcli.pipeline.video.scene import Scene
from talkcli.pipeline.video.views import YawsAt, plan_yaws
from talkcli.progress import Reporter, Stopwatch
from talkcli.render.player import Images
from talkcli.runtime import process_age
from talkcli.types import MotionFrame

#: Finished items that may wait between two stages. One lets a slow frame of the one and a quick
#: frame of the other cancel out.
_AHEAD = 1
#: Motion comes in bursts, a second of sound at a time, and is small.
_MOTIONS_AHEAD = 25


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
    """Pose, render, compose and encode every frame, each stage in a thread of its own.

    An error in any stage, or an interrupt, stops them all and leaves no film behind.

    Args:
        target: what is written.
        scene: draws the pictures.
        motions: at least ``target.frames`` of them.
        video: views, camera path and quality are read.
        reporter: counts frames.
        watch: gets the seconds of ``motion`` and ``encode``; the scene adds its own. Stages
            overlap: together they may take longer than the film took.

    Returns:
        Width and height of each film in pixels.
    """
    yaws_at = plan_yaws(video, target.duration_s)
    views = len(yaws_at(0.0))
    width, height = views // len(target.outputs) * scene.width, scene.height
    task = reporter.begin("render", target.frames)
    with ExitStack() as stack:
        with watch.measure("encode"):
            writers = _open_writers(stack, target, video, (width, height))
        relay = stack.enter_context(Relay())
        shots = relay.stage("motion", _shots(target, motions, yaws_at, watch), _MOTIONS_AHEAD)
        heads = relay.stage("render", _heads(scene, shots), _AHEAD)
        strips = _strips(scene, heads, views, len(target.outputs))
        for pictures in relay.stage("compose", strips, _AHEAD):
            with watch.measure("encode"):
                for writer, picture in zip(writers, pictures, strict=True):
                    writer.write(picture)
            if watch.first_frame_s is None:
                watch.first_frame_s = process_age()
            task.advance()
        with watch.measure("encode"):
            stack.close()
    reporter.end(task)
    return width, height


def _shots(
    target: FilmTarget, motions: Iterator[MotionFrame], yaws_at: YawsAt, watch: Stopwatch
) -> Iterator[tuple[MotionFrame, tuple[float | None, ...]]]:
    """Motion and the yaws of all views, frame by frame."""
    for number in range(target.frames):
        with watch.measure("motion"):
            motion = next(motions, None)
        if motion is None:
            return
        yield motion, yaws_at(float((number + 0.5) / target.fps))


def _heads(
    scene: Scene, shots: Iterator[tuple[MotionFrame, tuple[float | None, ...]]]
) -> Iterator[Images]:
    """Rendered heads, view by view, in buffers that take turns."""
    ring = cycle([scene.images() for _ in range(ring_size(_AHEAD))])
    for motion, yaws in shots:
        for yaw in yaws:
            yield scene.head(motion, yaw, next(ring))


def _strips(scene: Scene, heads: Iterator[Images], views: int, films: int) -> Iterator[np.ndarray]:
    """``[films, height, width, channels]`` of each frame, in buffers that take turns."""
    columns = views // films
    shape = (films, scene.height, columns * scene.width, scene.channels)
    ring = []
    for _ in range(ring_size(_AHEAD)):
        strips = np.empty(shape, np.uint8)
        places = strips.reshape(films, scene.height, columns, scene.width, -1).swapaxes(1, 2)
        canvases = [scene.canvas(place) for film in places for place in film]
        ring.append((strips, canvases))
    for strips, canvases in cycle(ring):
        for canvas in canvases:
            try:
                head = next(heads)
            except StopIteration:
                return
            scene.paint(head, canvas)
        yield strips


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
