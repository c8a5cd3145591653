"""Posed splats to pictures, frame after frame, with any back-end."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from talkcli.avatar import SOURCE_VIEW, Avatar, Camera, View
from talkcli.render.backend import choose_backend
from talkcli.shapes import Float, Float32
from talkcli.types import MotionFrame, SplatArrays


class Images(NamedTuple):
    """A drawn head.

    Attributes:
        rgb: ``[H, W, 3]`` float32 sRGB-encoded colour, premultiplied by coverage.
        alpha: ``[H, W]`` float32 coverage, 0–1.
    """

    rgb: Float32[np.ndarray, "height width 3"]
    alpha: Float32[np.ndarray, "height width"]

    @staticmethod
    def empty(camera: Camera) -> Images:
        """Memory for one picture of a camera."""
        size = (camera.height, camera.width)
        return Images(np.empty((*size, 3), np.float32), np.empty(size, np.float32))


@runtime_checkable
class Player(Protocol):
    """Draws frame after frame; keeps its buffers in between.

    Attributes:
        backend: ``cpu``, ``cuda`` or ``reference``.
    """

    backend: str

    def draw(self, splats: SplatArrays, camera: Camera, out: Images | None = None) -> Images:
        """One picture, in ``out`` where the back-end can draw into memory of the caller's."""


def player(backend: str = "auto") -> Player:
    """The player of a back-end.

    torch is imported only where a back-end needs it, and asked for a CUDA device only where gsplat
    could use one.

    Args:
        backend: as :func:`talkcli.render.choose_backend` takes it.

    Raises:
        UsageError: no such back-end.
        MissingDependencyError: ``cuda`` was asked for and cannot run.
    """
    name = choose_backend(backend).name
    return _CpuPlayer() if name == "cpu" else _TensorPlayer(name)


def draw_head(
    with_player: Player,
    avatar: Avatar,
    motion: MotionFrame | None = None,
    view: View = SOURCE_VIEW,
    out: Images | None = None,
    body: Float[np.ndarray, "4 4"] | None = None,
) -> Images:
    """Pose an avatar and draw it: the one way to a picture of a head.

    Args:
        with_player: draws.
        avatar: is posed.
        motion: of the frame; None for the source as photographed.
        view: from where.
        out: memory to draw into; None for new arrays.
        body: rigid motion of all of it in the camera's axes.

    Returns:
        Premultiplied colour and coverage, ``out`` itself where the back-end could draw into it.
        Every video counts dense coverage as full besides, see :mod:`talkcli.render.solid`.
    """
    camera = avatar.camera(motion, view)
    if body is not None:
        camera = replace(camera, viewmat=body @ camera.viewmat)
    return with_player.draw(avatar.pose(motion, view), camera, out)


class _CpuPlayer:
    """Draws without torch, whose import alone takes longer than a second of video."""

    backend = "cpu"

    def __init__(self) -> None:
        from talkcli.render.cpu import Workspace, rasterize

        self._rasterize, self._workspace = rasterize, Workspace()

    def draw(self, splats: SplatArrays, camera: Camera, out: Images | None = None) -> Images:
        out = out or Images.empty(camera)
        self._rasterize(splats, camera, self._workspace, images=out)
        return out


class _TensorPlayer:
    """Draws through :func:`talkcli.render.render`; the back-end makes arrays of its own."""

    def __init__(self, backend: str) -> None:
        from talkcli.render import render

        self._render, self.backend = render, backend

    def draw(self, splats: SplatArrays, camera: Camera, out: Images | None = None) -> Images:
        import torch

        from talkcli.types import Cameras

        viewmats, intrinsics = (
            torch.from_numpy(matrix.astype(np.float32))[None]
            for matrix in (camera.viewmat, camera.K)
        )
        cameras = Cameras(viewmats, intrinsics, camera.width, camera.height)
        drawn = self._render(splats.gaussians(), cameras, backend=self.backend)
        return Images(drawn.rgb[0].cpu().numpy(), drawn.alpha[0, ..., 0].cpu().numpy())
