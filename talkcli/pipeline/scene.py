"""An avatar in front of its background, filmed frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from talkcli.config import VideoConfig
from talkcli.progress import Stopwatch
from talkcli.types import MotionFrame


class Scene:
    """Everything between a motion frame and finished pictures.

    Args:
        avatar: directory that holds it.
        video: size and background are read.
        backend: renderer.
        watch: gets the seconds of ``load``, ``pose``, ``render`` and ``compose``.
    """

    def __init__(self, avatar: Path, video: VideoConfig, backend: str, watch: Stopwatch) -> None:
        with watch.measure("load"):
            from talkcli.avatar.portrait import PortraitAvatar
            from talkcli.compose import Compositor
            from talkcli.render import render

            self._render = render
            self._avatar = PortraitAvatar.load(avatar)
            self._compositor = Compositor(self._avatar, bg=video.bg, size=video.size or None)
            self._cameras = self._avatar.cameras()
        self._backend = backend
        self._watch = watch

    @property
    def width(self) -> int:
        """Pixels of one view."""
        return self._compositor.width

    @property
    def height(self) -> int:
        """Pixels of one view."""
        return self._compositor.height

    def pictures(self, motion: MotionFrame, yaws: Sequence[float | None]) -> list[np.ndarray]:
        """One ``[height, width, 3]`` uint8 picture per view (4 channels when transparent)."""
        return [self._picture(motion, yaw) for yaw in yaws]

    def _picture(self, motion: MotionFrame, yaw: float | None) -> np.ndarray:
        with self._watch.measure("pose"):
            splats = self._avatar.posed(motion, yaw)
        with self._watch.measure("render"):
            rendered = self._render(splats, self._cameras, backend=self._backend)
        with self._watch.measure("compose"):
            return self._compositor.frame(rendered.rgb[0].numpy(), rendered.alpha[0].numpy())
