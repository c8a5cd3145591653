"""An avatar in front of its background, filmed frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from talkcli.config import VideoConfig
from talkcli.progress import Stopwatch
from talkcli.render.player import Images, _CpuDrawing, _Drawing, settle_backend
from talkcli.types import MotionFrame

if TYPE_CHECKING:
    from talkcli.compose.blend import Canvas


class Scene:
    """Everything between a motion frame and finished pictures.

    Args:
        avatar: directory that holds it.
        video: size and background are read.
        backend: renderer, as asked for.
        watch: gets the seconds of ``load``, ``render`` (posing included) and ``compose``.

    Attributes:
        backend: renderer that draws.
    """

    def __init__(self, avatar: Path, video: VideoConfig, backend: str, watch: Stopwatch) -> None:
        with watch.measure("load"):
            from talkcli.compose import Compositor
            from talkcli.compose.solid import solidify
            from talkcli.engines.portrait.avatar import PortraitAvatar

            self._solidify = solidify
            self.backend = settle_backend(backend)
            model = PortraitAvatar.load(avatar)
            self._draw = (_CpuDrawing if self.backend == "cpu" else _Drawing)(model, self.backend)
            self._compositor = Compositor(model, bg=video.bg, size=video.size or None)
        self._watch = watch

    @property
    def width(self) -> int:
        """Pixels of one view."""
        return self._compositor.width

    @property
    def height(self) -> int:
        """Pixels of one view."""
        return self._compositor.height

    @property
    def channels(self) -> int:
        """Of a picture: 3, or 4 when transparent."""
        return 4 if self._compositor.transparent else 3

    def pictures(self, motion: MotionFrame, yaws: Sequence[float | None]) -> list[np.ndarray]:
        """One ``[height, width, channels]`` uint8 picture per view."""
        images = self.images()
        return [self.paint(self.head(motion, yaw, images), self.canvas()) for yaw in yaws]

    def images(self) -> Images:
        """Memory for one head."""
        side = self._draw.side
        return np.empty((side, side, 3), np.float32), np.empty((side, side), np.float32)

    def canvas(self, pixels: np.ndarray | None = None) -> Canvas:
        """Memory for one picture, see :meth:`talkcli.compose.Compositor.canvas`."""
        return self._compositor.canvas(pixels)

    def head(self, motion: MotionFrame, yaw: float | None, images: Images) -> Images:
        """Pose and render one view, if possible into ``images``.

        Returns:
            ``[S, S, 3]`` premultiplied colour and ``[S, S]`` coverage.
        """
        with self._watch.measure("render"):
            return self._draw.head(motion, yaw, images)

    def paint(self, head: Images, canvas: Canvas) -> np.ndarray:
        """Lay a head, which is changed, over the still picture; returns the canvas's pixels."""
        with self._watch.measure("compose"):
            self._solidify(*head)
            return self._compositor.frame(*head, canvas)
