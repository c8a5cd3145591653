"""From motion to encoded videos, in overlapping stages with only a few frames in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import count, cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from talkcli.avatar import View
from talkcli.config import TRANSPARENT, VideoConfig
from talkcli.pipeline.video.relay import Relay, ring_size
from talkcli.pipeline.video.scene import AvatarPlayer, Head
from talkcli.pipeline.video.views import ViewsAt, plan_views
from talkcli.progress import Stopwatch
from talkcli.project.run import Run
from talkcli.types import MotionFrame

if TYPE_CHECKING:
    from talkcli.media.audio import Sound

#: Finished items that may wait between two stages. One is enough for a slow frame in one stage and
#: a quick frame in the other to cancel out.
_AHEAD = 1
#: Motion is produced in bursts, a second of sound at a time, and takes little memory.
_MOTIONS_AHEAD = 25


@dataclass(frozen=True)
class VideoTarget:
    """Videos of equal length that are written together.

    Attributes:
        outputs: one file for all views side by side, or one per view.
        fps: frames per second.
        duration_s: length of the sound in seconds; None until it has been read, if its container
            does not state it.
        heard: sound that goes into the videos, or None.
        sound_start_s: when the sound begins, in seconds of the video.
        overwrite: whether existing files may be replaced.
    """

    outputs: tuple[Path, ...]
    fps: Fraction
    duration_s: float | None
    heard: Sound | None
    sound_start_s: float
    overwrite: bool

    @property
    def estimate_s(self) -> float:
        """Expected length of the video in seconds; 0 if nothing is known about it."""
        if self.duration_s is not None:
            return self.duration_s
        return self.heard.estimated_duration_s if self.heard is not None else 0.0


def render_video(
    target: VideoTarget,
    player: AvatarPlayer,
    motions: Iterator[MotionFrame],
    run: Run,
) -> int:
    """Pose, render, compose and encode every frame, each stage in its own thread.

    An error in any stage, or an interrupt, stops all of them and leaves no video behind.

    Args:
        target: what to write.
        player: draws the pictures.
        motions: one motion per frame, to the end of the video.
        run: its views, camera path and quality apply; frames are reported, ``motion`` and
            ``encode`` are timed, and the player times its own parts. The stages overlap, so their
            sum may exceed the total.

    Returns:
        Number of frames.
    """
    from talkcli.media.write import frame_count

    video, watch = run.recipe.video, run.watch
    views_at = plan_views(video, target.estimate_s or 1.0)
    views = len(views_at(0.0))
    width, height = views // len(target.outputs) * player.width, player.height
    estimate = frame_count(target.estimate_s, target.fps) if target.estimate_s else None
    task = run.reporter.begin("render", estimate)
    frames = 0
    with ExitStack() as stack:
        with watch.measure("encode"):
            writers = _open_writers(stack, target, video, (width, height))
        relay = stack.enter_context(Relay())
        shots = relay.stage("motion", _shots(target, motions, views_at, watch), _MOTIONS_AHEAD)
        heads = relay.stage("render", _heads(player, shots), _AHEAD)
        strips = _strips(player, heads, views, len(target.outputs))
        for pictures in relay.stage("compose", strips, _AHEAD):
            with watch.measure("encode"):
                for writer, picture in zip(writers, pictures, strict=True):
                    writer.write(picture)
            if watch.first_frame_s is None:
                watch.first_frame_s = watch.total()
            frames += 1
            task.advance()
        with watch.measure("encode"):
            stack.close()
    run.reporter.end(task)
    return frames


def _shots(
    target: VideoTarget, motions: Iterator[MotionFrame], views_at: ViewsAt, watch: Stopwatch
) -> Iterator[tuple[MotionFrame, tuple[View, ...]]]:
    """The motion and all views of each frame."""
    for number in count():
        with watch.measure("motion"):
            motion = next(motions, None)
        if motion is None:
            return
        yield motion, views_at(float((number + 0.5) / target.fps))


def _heads(
    player: AvatarPlayer, shots: Iterator[tuple[MotionFrame, tuple[View, ...]]]
) -> Iterator[Head]:
    """Rendered heads, view by view, in a ring of buffers."""
    ring = cycle([player.images() for _ in range(ring_size(_AHEAD))])
    for motion, views in shots:
        for view in views:
            yield player.head(motion, view, next(ring))


def _strips(
    player: AvatarPlayer, heads: Iterator[Head], views: int, files: int
) -> Iterator[np.ndarray]:
    """``[files, height, width, channels]`` of each frame, in a ring of buffers."""
    columns = views // files
    shape = (files, player.height, columns * player.width, player.channels)
    ring = []
    for _ in range(ring_size(_AHEAD)):
        strips = np.empty(shape, np.uint8)
        places = strips.reshape(files, player.height, columns, player.width, -1).swapaxes(1, 2)
        canvases = [player.canvas(place) for row in places for place in row]
        ring.append((strips, canvases))
    for strips, canvases in cycle(ring):
        for canvas in canvases:
            try:
                head = next(heads)
            except StopIteration:
                return
            player.paint(head, canvas)
        yield strips


def _open_writers(
    stack: ExitStack, target: VideoTarget, video: VideoConfig, size: tuple[int, int]
) -> Sequence[Any]:
    from talkcli.media.write import Encoding, FrameFormat, VideoWriter

    encoding = Encoding(
        crf=video.crf,
        alpha=video.bg == TRANSPARENT,
        sound_start_s=target.sound_start_s,
        sound_file=video.with_sound and target.heard is not None,
    )
    frames = FrameFormat(*size, target.fps)
    return [
        stack.enter_context(
            VideoWriter(
                path,
                frames,
                duration_s=target.duration_s,
                sound=target.heard,
                overwrite=target.overwrite,
                encoding=encoding,
            )
        )
        for path in target.outputs
    ]
