"""The CPU renderer behind torch's interface."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from talkcli.render.cpu import jit
from talkcli.render.cpu.raster import (
    NOTHING,
    Splats,
    Workspace,
    draw,
    flat,
    pack_camera,
    prepare,
)
from talkcli.types import Cameras, Gaussians, Rendered


@torch.no_grad()
def render_cpu(
    gaussians: Gaussians,
    cameras: Cameras,
    background: Tensor | None,
    features: Tensor | None,
    eps2d: float,
) -> Rendered:
    """Render with the numba kernels, in float32.

    Arguments as :func:`talkcli.render.api.render`, but ``background`` is ``[C, 3]`` or None.
    """
    jit.announce()
    count, (width, height) = len(cameras.viewmats), (cameras.width, cameras.height)
    channels = 0 if features is None else features.shape[-1]
    images = [np.empty((count, height, width, depth), np.float32) for depth in (3, 1, 1, channels)]
    splats = Splats(
        *(
            _array(getattr(gaussians, name))
            for name in ("means", "quats", "scales", "covars", "opacities", "colors")
        )
    )
    workspace = Workspace()
    for camera in range(count):
        view, K = cameras.viewmats[camera].cpu().numpy(), cameras.Ks[camera].cpu().numpy()
        packed = pack_camera(view, K, (width, height), eps2d)
        frame = prepare(splats, packed, (width, height), workspace, None)
        behind = np.zeros(3, np.float32) if background is None else _array(background[camera])
        outputs = tuple(image[camera].reshape(-1) for image in images)
        draw(frame, _array(features), behind, outputs, workspace)
    rgb, alpha, depth, extra = (torch.from_numpy(i).to(gaussians.means.device) for i in images)
    return Rendered(rgb, alpha, depth, None if features is None else extra)


def _array(tensor: Tensor | None) -> np.ndarray:
    """A tensor's numbers as a flat float32 array; empty for None."""
    return NOTHING if tensor is None else flat(tensor.detach().cpu().numpy())
