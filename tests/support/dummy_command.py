"""``python tests/support/dummy_command.py ARGUMENTS``: talkcli as a user starts it, but quick.

The dummy engine takes the place of the default one, one face is found in every picture and in
every frame of a clip, and the head keeps still. Start-up, signals, locks, stages, renderer and
ffmpeg are the real ones, so that a campaign can start this a hundred times.
"""

from __future__ import annotations

import importlib.machinery
import os
import runpy
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.abc import Loader, MetaPathFinder
from types import ModuleType, SimpleNamespace
from typing import Any

#: Seconds that a frame, and a tenth of an avatar, take: kills should find runs at work.
FRAME_S = float(os.environ.get("DUMMY_FRAME_S", "0"))
#: Descriptor that gets a byte as soon as signals are handled.
READY = os.environ.get("DUMMY_READY")


def signals(module: Any) -> None:
    if READY is None:
        return
    real = module.on_ending

    def on_ending(handler: Any) -> Any:
        before = real(handler)
        with suppress(OSError):  # there may be nobody left who waits for it
            os.write(int(READY), b".")
        return before

    module.on_ending = on_ending


def engines(registry: Any) -> None:
    registry.ENGINES["portrait"] = "tests.support.dummy_engine"


def engine(module: Any) -> None:
    module.ENGINE.name = "portrait"
    module.ENGINE.on_pose = lambda: time.sleep(FRAME_S)
    make = module.ENGINE.make

    def slowly(*given: Any) -> None:
        time.sleep(10 * FRAME_S)
        make(*given)

    module.ENGINE.make = slowly


def motion(module: Any) -> None:
    def frames(blocks: Iterator[Any], *rest: Any) -> Iterator[Any]:
        from talkcli.types import MotionFrame

        while True:
            next(blocks, None)
            yield MotionFrame.neutral()

    module.motion_frames = frames


def head() -> Any:
    """Landmarks of the template, 200 pixels high."""
    from talkcli.face.model import FaceModel

    points = FaceModel.load().vertices * (1, -1, -1 / 1.1)
    return points * 10 + (100, 100, 0)


def faces(module: Any) -> None:
    module.detect_faces = lambda rgb: [module.Face(head())]


def clips(module: Any) -> None:
    module.find_turn = lambda path: 0
    module.open_landmarks = lambda name: SimpleNamespace(name="made", close=lambda: None)
    module.FaceFollower = lambda *given, **options: SimpleNamespace(follow=follow, faces_seen=1)


def follow(rgb: Any) -> Any:
    time.sleep(FRAME_S)
    return head()


CHANGES: dict[str, Callable[[Any], None]] = {
    "talkcli.signals": signals,
    "talkcli.engines.registry": engines,
    "tests.support.dummy_engine": engine,
    "talkcli.motion": motion,
    "talkcli.tracking.landmarks": faces,
    "talkcli.tracking.clip": clips,
}


class Changing(MetaPathFinder):
    """Changes modules as they are imported: nothing is imported earlier than by talkcli itself."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name not in CHANGES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = ChangingLoader(spec.loader, CHANGES[name])
        return spec


class ChangingLoader(Loader):
    def __init__(self, real: Any, change: Callable[[Any], None]) -> None:
        self._real = real
        self._change = change

    def create_module(self, spec: Any) -> ModuleType | None:
        return self._real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._real.exec_module(module)
        self._change(module)


if __name__ == "__main__":
    sys.meta_path.insert(0, Changing())
    runpy.run_module("talkcli", run_name="__main__", alter_sys=True)
