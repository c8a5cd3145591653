"""The smallest engine there can be: one splat before the picture. What a new engine has to bring.

Tests register it with one line (``registry.ENGINES``) and run every command through it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from talkcli.avatar import (
    SOURCE_VIEW,
    AvatarInfo,
    Backdrop,
    Camera,
    PictureFrame,
    PictureSource,
    Source,
    View,
)
from talkcli.config import Recipe
from talkcli.project.run import Run
from talkcli.types import Gaussians, MotionFrame, SplatArrays

#: Side of the head's picture, pixels.
SIDE = 24


class DummyAvatar:
    """A grey ball in the middle of its picture; it moves to the side by half a pixel per degree."""

    def __init__(self, picture: np.ndarray, engine: DummyEngine) -> None:
        self._engine = engine
        height, width = picture.shape[:2]
        place = PictureFrame(width, height, (width - SIDE) // 2, (height - SIDE) // 2, SIDE, SIDE)
        plate = np.zeros((SIDE, SIDE, 3), np.float32)
        torso = np.zeros((height, width), np.uint8)
        self._backdrop = Backdrop(picture, plate, place, torso)
        self.info = AvatarInfo(engine.name, 1, width, height)

    def pose(self, motion: MotionFrame | None = None, view: View = SOURCE_VIEW) -> SplatArrays:
        self._engine.posed(motion, view)
        turned = (view.yaw_deg or 0.0) + (0.0 if motion is None else motion.rotation[0])
        return SplatArrays(
            means=np.array([[0.5 * turned, 0.0, 0.0]], np.float32),
            covars=np.array([[9.0, 0, 0, 9.0, 0, 9.0]], np.float32),
            opacities=np.array([0.98], np.float32),
            colors=np.full((1, 3), 0.5, np.float32),
        )

    def camera(self, motion: MotionFrame | None = None, view: View = SOURCE_VIEW) -> Camera:
        viewmat = np.eye(4)
        viewmat[2, 3] = 100.0
        K = np.array([[100.0, 0, SIDE / 2], [0, 100.0, SIDE / 2], [0, 0, 1]])
        return Camera(viewmat, K, SIDE, SIDE)

    def backdrop(self, motion: MotionFrame | None = None) -> Backdrop:
        return self._backdrop

    def playback(self) -> DummyAvatar:
        return self

    def neutral(self) -> Gaussians:
        return self.pose(MotionFrame.neutral()).gaussians()


@dataclass
class DummyEngine:
    """Makes :class:`DummyAvatar`, and remembers what it was asked for.

    Attributes:
        made: how many avatars.
        views: yaw of every pose.
        motions: motion of every pose.
        on_pose: called before every pose.
    """

    name: str = "dummy"
    version: int = 1
    source: Literal["picture", "clip"] = "picture"
    made: int = 0
    views: list[float | None] = field(default_factory=list)
    motions: list[MotionFrame | None] = field(default_factory=list)
    on_pose: Callable[[], object] = lambda: None

    def forget(self) -> None:
        self.made, self.on_pose = 0, lambda: None
        self.views.clear()
        self.motions.clear()

    def posed(self, motion: MotionFrame | None, view: View) -> None:
        self.on_pose()
        self.views.append(view.yaw_deg)
        self.motions.append(motion)

    def key(self, recipe: Recipe) -> Mapping[str, Any]:
        return {}

    def make(self, source: Source, run: Run, directory: Path) -> None:
        self.made += 1
        assert isinstance(source, PictureSource)
        Image.fromarray(source.rgba).save(directory / "picture.png")

    def check(self, directory: Path) -> None:
        self.load(directory)

    def load(self, directory: Path) -> DummyAvatar:
        return DummyAvatar(np.array(Image.open(directory / "picture.png").convert("RGBA")), self)


ENGINE = DummyEngine()
