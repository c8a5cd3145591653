"""The CPU renderer behind torch's interface, differentiable."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from talkcli.avatar import Camera
from talkcli.kernels import jit
from talkcli.render.cpu.gradients import differentiate
from talkcli.render.cpu.raster import (
    NOTHING,
    FlatSplats,
    RasterSettings,
    Workspace,
    draw,
    flat,
    prepare,
)
from talkcli.types import Cameras, Gaussians, Rendered

#: Workspaces that no graph holds any more. Memory that was touched before is several times
#: cheaper than fresh pages.
_free: list[Workspace] = []
_FREE_MAX = 4

_FIELDS = ("means", "quats", "scales", "covars", "opacities", "colors")


class _Lease:
    """A workspace for as long as a graph may still be differentiated."""

    def __init__(self) -> None:
        try:
            self.workspace = _free.pop()
        except IndexError:
            self.workspace = Workspace()

    def __del__(self) -> None:
        if len(_free) < _FREE_MAX:
            _free.append(self.workspace)


def render_cpu(
    gaussians: Gaussians,
    cameras: Cameras,
    background: Tensor | None,
    features: Tensor | None,
    eps2d: float,
    rasterize_mode: str,
    depth: bool = True,
) -> Rendered:
    """Render with the numba kernels, in float32.

    Arguments as :func:`talkcli.render.api.render`, but ``background`` is ``[C, 3]`` or None.
    """
    jit.announce()
    home = gaussians.means.device
    settings = RasterSettings(eps2d, rasterize_mode)
    frames = []
    for number, viewmat in enumerate(cameras.viewmats):
        K = cameras.Ks[number].detach().cpu().numpy()
        camera = Camera(viewmat.detach().cpu().numpy(), K, cameras.width, cameras.height)
        behind = None if background is None else background[number]
        shape = [getattr(gaussians, name) for name in _FIELDS]
        tensors = [*shape, features, behind, viewmat]
        ready = (_ready(tensor) for tensor in tensors)
        frames.append(_Rasterize.apply(camera, settings, depth, *ready))
    rgb, alpha, z, extra = (_join(images).to(home) for images in zip(*frames, strict=True))
    return Rendered(rgb, alpha, z if depth else None, None if features is None else extra)


def _join(images: tuple[Tensor, ...]) -> Tensor:
    """Images of all cameras; a single one, as when fitting, is not copied."""
    return images[0][None] if len(images) == 1 else torch.stack(images)


def _ready(tensor: Tensor | None) -> Tensor | None:
    """The same numbers where and how kernels read them; differentiable."""
    return None if tensor is None else tensor.to("cpu", torch.float32).contiguous()


class _Rasterize(torch.autograd.Function):
    """One camera. Inputs are the fields of Gaussians, features, background and view matrix."""

    @staticmethod
    def forward(
        ctx: Any, camera: Camera, settings: RasterSettings, depth: bool, *tensors: Tensor | None
    ) -> tuple[Tensor, ...]:
        # The view matrix is a tensor for its gradient's sake only; the camera holds its numbers.
        arrays = [NOTHING if t is None else flat(t.detach().numpy()) for t in tensors[:8]]
        splats, features, behind = FlatSplats(*arrays[:6]), arrays[6], arrays[7]
        lease = _Lease()
        needed = any(ctx.needs_input_grad)
        frame = prepare(splats, camera, lease.workspace, settings, slots=needed)
        channels = 0 if tensors[6] is None else tensors[6].shape[-1]
        size = (camera.height, camera.width)
        wanted = (3, 1, int(depth), channels)
        images = [np.empty((*size, count), np.float32) for count in wanted]
        outputs = tuple(image.reshape(-1) for image in images)
        background = behind if len(behind) else np.zeros(3, np.float32)
        draw(frame, features, background, outputs, lease.workspace)
        ctx.set_materialize_grads(False)
        if needed:
            ctx.state = (splats, features, frame, outputs, lease)
            ctx.shapes = [None if t is None else t.shape for t in tensors]
        return tuple(torch.from_numpy(image) for image in images)

    @staticmethod
    def backward(ctx: Any, *to_images: Tensor | None) -> tuple[Tensor | None, ...]:
        splats, features, frame, outputs, lease = ctx.state
        gradients = [None if g is None else flat(g.detach().numpy()) for g in to_images]
        result = differentiate(splats, features, frame, outputs, gradients, lease.workspace)
        arrays = [*result.splats, result.features, result.background, result.viewmat]
        tensors = [
            None if shape is None else torch.from_numpy(array).reshape(shape)
            for array, shape in zip(arrays, ctx.shapes, strict=True)
        ]
        return (None, None, None, *tensors)
