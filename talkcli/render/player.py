"""Posed splats to pictures, frame after frame, with any back-end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from talkcli.engines.portrait.avatar import PortraitAvatar
    from talkcli.types import MotionFrame

#: A head: ``[S, S, 3]`` float32 colour, premultiplied, and ``[S, S]`` float32 coverage.
Images = tuple[np.ndarray, np.ndarray]


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


def settle_backend(backend: str) -> str:
    """The renderer that draws; torch is asked for a CUDA device only where gsplat could use it.

    Args:
        backend: as asked for.

    Raises:
        MissingDependencyError: ``cuda`` was asked for and cannot run.
    """
    from talkcli.render import choose_backend

    return choose_backend(backend).name
