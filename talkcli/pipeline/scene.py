"""An avatar in front of its background, filmed frame by frame."""

from __future__ import annotations

import importlib.util
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

    def pictures(self, motion: MotionFrame, yaws: Sequence[float | None]) -> list[np.ndarray]:
        """One ``[height, width, 3]`` uint8 picture per view (4 channels when transparent)."""
        pictures = []
        for yaw in yaws:
            with self._watch.measure("render"):
                rgb, alpha = self._draw.head(motion, yaw)
            with self._watch.measure("compose"):
                self._solidify(rgb, alpha)
                pictures.append(self._compositor.frame(rgb, alpha))
        return pictures


class _CpuDrawing:
    """Draws without torch, whose import alone takes longer than a second of film."""

    def __init__(self, avatar: PortraitAvatar, backend: str) -> None:
        from talkcli.render.cpu import Workspace, rasterize

        self._avatar, self._rasterize, self._workspace = avatar, rasterize, Workspace()

    def head(self, motion: MotionFrame, yaw: float | None) -> tuple[np.ndarray, ...]:
        """``[S, S, 3]`` premultiplied colour and ``[S, S]`` coverage; valid until the next call."""
        avatar = self._avatar
        splats = avatar.posed_splats(motion, yaw)
        side = avatar.frame.crop_pixels
        return self._rasterize(
            splats.means,
            splats.covars,
            splats.opacities,
            splats.colors,
            avatar.viewmat,
            avatar.K,
            side,
            side,
            self._workspace,
        )


class _Drawing:
    """Draws with any back-end."""

    def __init__(self, avatar: PortraitAvatar, backend: str) -> None:
        from talkcli.render import render

        self._avatar, self._render, self._backend = avatar, render, backend
        self._cameras = avatar.cameras()

    def head(self, motion: MotionFrame, yaw: float | None) -> tuple[np.ndarray, ...]:
        """As :meth:`_CpuDrawing.head`."""
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
    """The renderer that draws; asks torch for a CUDA device only where gsplat could use it.

    Args:
        backend: as asked for.

    Raises:
        MissingDependencyError: ``cuda`` was asked for and cannot run.
    """
    if backend == "cpu" or (backend == "auto" and importlib.util.find_spec("gsplat") is None):
        return "cpu"
    from talkcli.render import choose_backend

    return choose_backend(backend).name
