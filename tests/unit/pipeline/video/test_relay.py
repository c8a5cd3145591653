"""Stages in threads: order, bounds, errors and leaving early; and videos made through them."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkcli.avatar import View
from talkcli.compose.blend import Compositor
from talkcli.config import Recipe, VideoConfig
from talkcli.errors import InputError, TalkcliError
from talkcli.media.image import read_image
from talkcli.pipeline.video.relay import Relay, ring_size
from talkcli.pipeline.video.shoot import VideoTarget, render_video
from talkcli.progress import SilentReporter, Stopwatch
from talkcli.project import Project
from talkcli.project.run import Run
from talkcli.types import MotionFrame
from tests.support.pictures import portrait


def relay_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("relay-")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    interval = sys.getswitchinterval()
    yield
    assert relay_threads() == []
    assert sys.getswitchinterval() == interval


def test_items_arrive_in_order_through_several_stages() -> None:
    with Relay() as relay:
        numbers = relay.stage("stage-1", range(500), 3)
        squares = relay.stage("stage-2", (n * n for n in numbers), 1)
        assert list(squares) == [n * n for n in range(500)]
        assert list(squares) == []


def test_stages_run_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=30)

    def meets(items: Iterator[int]) -> Iterator[int]:
        for item in items:
            if item == 5:
                meeting.wait()
            yield item

    # Each waits in item 5 for the others: with one stage at a time that would never end.
    with Relay() as relay:
        first = relay.stage("stage-1", meets(itertools.count()), 9)
        second = relay.stage("stage-2", meets(n + 1 for n in first), 9)
        assert list(itertools.islice(meets(n + 1 for n in second), 6))[-1] == 7


def test_a_stage_runs_only_so_far_ahead() -> None:
    made: list[int] = []
    held = 4

    def source() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    def settled() -> int:
        count = -1
        while count != len(made):
            count = len(made)
            time.sleep(0.05)
        return count

    with Relay() as relay:
        items = relay.stage("stage", source(), held)
        assert settled() == held + 1
        next(items)
        # Ready ones, one in the making and the one in use: that many buffers are enough.
        assert settled() == ring_size(held) == held + 2


def test_buffers_that_take_turns_are_never_overwritten_in_use() -> None:
    def source() -> Iterator[np.ndarray]:
        ring = itertools.cycle([np.zeros(1, int) for _ in range(ring_size(2))])
        for number in range(300):
            buffer = next(ring)
            buffer[:] = number
            yield buffer

    with Relay() as relay:
        for number, buffer in enumerate(relay.stage("stage", source(), 2)):
            if number % 50 == 0:
                time.sleep(0.01)
            assert buffer[0] == number


def test_an_error_arrives_behind_the_items_before_it() -> None:
    def broken() -> Iterator[int]:
        yield from range(3)
        raise InputError("the sound breaks off")

    with Relay() as relay:
        first = relay.stage("stage-1", broken(), 2)
        second = relay.stage("stage-2", map(float, first), 2)
        got = []
        with pytest.raises(InputError, match="breaks off"):
            got.extend(second)
        assert got[:3] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("waiting", ["for room", "for items"])
def test_leaving_early_stops_waiting_stages(waiting: str) -> None:
    gate = threading.Event()

    def slow() -> Iterator[int]:
        yield 0
        if waiting == "for items":
            gate.wait(30)
        yield from itertools.count(1)

    start = time.monotonic()
    with pytest.raises(ZeroDivisionError), Relay() as relay:
        first = relay.stage("stage-1", slow(), 1)
        second = relay.stage("stage-2", map(float, first), 1)
        assert next(second) == 0.0
        threading.Timer(0.2, gate.set).start()
        raise ZeroDivisionError
    assert time.monotonic() - start < 20


class FakeScene:
    """Paints a number of its own into every picture of every view."""

    width, height, channels = 32, 16, 3

    def __init__(self) -> None:
        self.fail_at: tuple[int, Callable[[], Any]] | None = None
        self.drawn = self.made = 0

    def images(self) -> tuple[np.ndarray, np.ndarray]:
        self.made += 1
        return np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.float32)

    def canvas(self, pixels: np.ndarray) -> np.ndarray:
        return pixels

    def head(self, motion: MotionFrame, view: View, images: Any) -> Any:
        if self.fail_at and self.drawn == self.fail_at[0]:
            self.fail_at[1]()
        self.drawn += 1
        images[1][:] = motion.rotation[0] * 3 + view.yaw_deg
        return images

    def paint(self, head: Any, canvas: np.ndarray) -> np.ndarray:
        canvas[:] = np.uint8(head[1][0, 0])
        return canvas


def motions(count: int) -> Iterator[MotionFrame]:
    for number in range(count):
        yield replace(MotionFrame.neutral(), rotation=np.full(3, number, np.float32))


def target_of(*outputs: Path, frames: int = 60) -> VideoTarget:
    return VideoTarget(outputs, Fraction(25), frames / 25, None, 0.0, False)


def make_video(target: VideoTarget, scene: Any, views: tuple[float, ...] = (0, 1, 2)) -> None:
    frames = round(target.duration_s * 25)
    assert render_video(target, scene, motions(frames), run_of(views)) == frames


def run_of(views: tuple[float, ...]) -> Run:
    recipe = Recipe(video=VideoConfig(views=views))
    return Run(Project(Path(), {}), recipe, SilentReporter(), Stopwatch())


def values(folder: Path) -> np.ndarray:
    """Every picture's values at the middle of each view, ``[frames, views]``."""
    pictures = [read_image(path)[8, 16::32, 0] for path in sorted(folder.iterdir())]
    return np.stack(pictures).astype(int)


def test_every_frame_and_view_lands_in_its_place(tmp_path: Path) -> None:
    scene = FakeScene()
    make_video(target_of(tmp_path / "strip"), scene)
    expected = 3 * np.arange(60)[:, None] + np.arange(3)
    np.testing.assert_array_equal(values(tmp_path / "strip"), expected)
    # Sixty frames of three views went through a handful of buffers.
    assert scene.made <= 4
    outputs = [tmp_path / name for name in "abc"]
    make_video(target_of(*outputs), FakeScene())
    for view, output in enumerate(outputs):
        np.testing.assert_array_equal(values(output)[:, 0], expected[:, view])


class RealPictures:
    """Heads that wander over a picture, as the video's stages see them."""

    channels = 3

    def __init__(self) -> None:
        self._compositor = Compositor(portrait())
        self.width, self.height = self._compositor.width, self._compositor.height

    def images(self) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((64, 64, 3), np.float32), np.zeros((64, 64), np.float32)

    def canvas(self, pixels: np.ndarray | None = None) -> Any:
        return self._compositor.canvas(pixels)

    def head(self, motion: MotionFrame, view: View, images: Any) -> Any:
        rng = np.random.default_rng(int(motion.rotation[0]) * 7 + int(view.yaw_deg))
        for image in images:
            image[:] = 0
        x, y = rng.integers(2, 40, 2)
        images[1][y : y + 20, x : x + 12] = 0.75
        images[0][y : y + 20, x : x + 12] = 0.75 * rng.random(3, np.float32)
        return images

    def paint(self, head: Any, canvas: Any) -> np.ndarray:
        return self._compositor.frame(*head, canvas)


def test_overlapping_changes_no_bit(tmp_path: Path) -> None:
    make_video(target_of(tmp_path / "video", frames=30), RealPictures(), (0, 3))
    scene = RealPictures()
    for number, (path, motion) in enumerate(
        zip(sorted((tmp_path / "video").iterdir()), motions(30), strict=True)
    ):
        # One after the other, in memory that is new for every picture.
        views = [
            scene.paint(scene.head(motion, View(yaw), scene.images()), scene.canvas())
            for yaw in (0, 3)
        ]
        written = read_image(path)[..., :3]
        np.testing.assert_array_equal(written, np.concatenate(views, 1), err_msg=str(number))


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_an_error_while_drawing_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        raise InputError("the renderer broke")

    scene = FakeScene()
    scene.fail_at = (20, fail)
    with pytest.raises(InputError, match="the renderer broke"):
        make_video(target_of(tmp_path / "a.mp4"), scene)
    assert left_over(tmp_path) == []
    assert scene.drawn == 20


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("head -c 9999 >&-; echo 'something odd' >&2; exit 1", TalkcliError),
        ("head -c 9999 >&-; echo 'write: No space left on device' >&2; exit 228", InputError),
    ],
)
def test_an_encoder_that_dies_stops_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, kind: type
) -> None:
    fake = tmp_path / "fake-ffmpeg"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("TALKCLI_FFMPEG", str(fake))
    (tmp_path / "out").mkdir()
    scene = FakeScene()
    with pytest.raises(TalkcliError) as caught:
        make_video(target_of(tmp_path / "out" / "a.mp4", frames=100_000), scene)
    assert type(caught.value) is kind
    assert left_over(tmp_path / "out") == []
    # Long before the end, not after all of it has been drawn for nothing.
    assert scene.drawn < 90_000


def test_an_interrupt_stops_the_video(tmp_path: Path) -> None:
    scene = FakeScene()
    scene.fail_at = (50, lambda: os.kill(os.getpid(), signal.SIGINT))
    # A shell that runs the tests in the background has them ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            make_video(target_of(tmp_path / "a.mp4", frames=100_000), scene)
    finally:
        signal.signal(signal.SIGINT, before)
    assert left_over(tmp_path) == []
    assert scene.drawn < 90_000


def test_motion_that_ends_early_is_no_video(tmp_path: Path) -> None:
    target = target_of(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="40 frames were written"):
        render_video(target, FakeScene(), motions(40), run_of((0,)))  # type: ignore[arg-type]
    assert left_over(tmp_path) == []
