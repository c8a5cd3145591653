"""An avatar in front of its background, filmed frame by frame."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from talkcli.config import TRANSPARENT, VideoConfig
from talkcli.errors import UsageError
from talkcli.progress import Stopwatch
from talkcli.types import MotionFrame

if TYPE_CHECKING:
    from talkcli.avatar.portrait import PortraitAvatar
    from talkcli.compose.blend import Canvas

#: A head: ``[S, S, 3]`` float32 colour, premultiplied, and ``[S, S]`` float32 coverage.
Images = tuple[np.ndarray, np.ndarray]

_COLOUR = re.compile(r"#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


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
            from talkcli.avatar.portrait import PortraitAvatar
            from talkcli.compose import Compositor
            from talkcli.compose.solid import solidify

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


class _CpuDrawing:
    """Draws without torch, whose import alone takes longer than a second of film."""

    def __init__(self, avatar: PortraitAvatar, backend: str) -> None:
        from talkcli.render.cpu import Workspace, rasterize

        self._avatar, self._rasterize, self._workspace = avatar, rasterize, Workspace()
        self.side = avatar.frame.crop_pixels

    def head(self, motion: MotionFrame, yaw: float | None, images: Images) -> Images:
        """See :meth:`Scene.head`."""
        avatar, side = self._avatar, self.side
        splats = avatar.posed_splats(motion, yaw)
        self._rasterize(
            splats.means,
            splats.covars,
            splats.opacities,
            splats.colors,
            avatar.viewmat,
            avatar.K,
            side,
            side,
            self._workspace,
            images=images,
        )
        return images


class _Drawing:
    """Draws with any back-end."""

    def __init__(self, avatar: PortraitAvatar, backend: str) -> None:
        from talkcli.render import render

        self._avatar, self._render, self._backend = avatar, render, backend
        self._cameras = avatar.cameras()
        self.side = avatar.frame.crop_pixels

    def head(self, motion: MotionFrame, yaw: float | None, images: Images) -> Images:
        """See :meth:`Scene.head`; the back-end makes arrays of its own."""
        splats = self._avatar.posed(motion, yaw)
        drawn = self._render(splats, self._cameras, backend=self._backend)
        return drawn.rgb[0].cpu().numpy(), drawn.alpha[0, ..., 0].cpu().numpy()


def check_scene(video: VideoConfig, backend: str) -> None:
    """Refuse a background or renderer that cannot be had, before anything is computed for it.

    Raises:
        UsageError: a background that is no colour.
        InputError: a background picture that cannot be read.
        MissingDependencyError: a renderer that was asked for by name and is not there.
    """
    if video.bg.startswith("#"):
        if not _COLOUR.fullmatch(video.bg):
            raise UsageError(f"--bg {video.bg} is not a colour", "write it as #1e90ff")
    elif video.bg not in ("keep", "plate", TRANSPARENT):
        from talkcli.media.check import check_readable

        check_readable(video.bg, "a background picture")
    if backend == "cuda":
        settle_backend(backend)


def settle_backend(backend: str) -> str:
    """The renderer that draws; torch is asked for a CUDA device only where gsplat could use it.

    Args:
        backend: as asked for.

    Raises:
        MissingDependencyError: ``cuda`` was asked for and cannot run.
    """
    from talkcli.render import choose_backend

    return choose_backend(backend).name
