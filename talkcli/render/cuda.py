"""Rendering on a CUDA device through gsplat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from talkcli.errors import MissingDependencyError
from talkcli.render.backend import CUDA_MEND
from talkcli.types import Cameras, Gaussians, Rendered


def render_cuda(
    gaussians: Gaussians,
    cameras: Cameras,
    background: Tensor | None,
    features: Tensor | None,
    eps2d: float,
    rasterize_mode: str,
    depth: bool = True,
) -> Rendered:
    """Render with ``gsplat.rasterization``.

    Arguments are those of :func:`talkcli.render.api.render`, but ``background`` is ``[C, 3]`` or
    None. Inputs may be on any device; the images are returned on that of ``gaussians.means``.

    Raises:
        MissingDependencyError: gsplat cannot be loaded or built, or the device lacks memory.
    """
    with _enough_memory():
        drawn = _render(gaussians, cameras, background, features, eps2d, rasterize_mode)
    return drawn if depth else replace(drawn, depth=None)


def _render(
    gaussians: Gaussians,
    cameras: Cameras,
    background: Tensor | None,
    features: Tensor | None,
    eps2d: float,
    rasterize_mode: str,
) -> Rendered:
    home = gaussians.means.device
    device = working_device(home)

    def there(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.to(device, torch.float32)

    values = gaussians.colors
    behind = background
    if features is not None:
        values = torch.cat([values, features.to(values)], -1)
        if behind is not None:
            zeros = behind.new_zeros(len(behind), features.shape[-1])
            behind = torch.cat([behind, zeros], -1)
    arguments: dict[str, Any] = {
        "means": there(gaussians.means),
        "quats": there(gaussians.quats),
        "scales": there(gaussians.scales),
        "opacities": there(gaussians.opacities),
        "colors": there(values),
        "viewmats": there(cameras.viewmats),
        "Ks": there(cameras.Ks),
        "width": cameras.width,
        "height": cameras.height,
        "eps2d": eps2d,
        "backgrounds": there(behind),
        "render_mode": "RGB+D",
        "rasterize_mode": rasterize_mode,
    }
    if gaussians.covars is not None:
        arguments["covars"] = full_covariances(gaussians.covars).to(device, torch.float32)
    images, alpha = _rasterize(arguments)
    images, alpha = images.to(home), alpha.to(home)
    return Rendered(
        rgb=images[..., :3],
        alpha=alpha,
        depth=images[..., -1:],
        features=None if features is None else images[..., 3:-1],
    )


def working_device(home: torch.device) -> torch.device:
    """The device on which gsplat runs for tensors on ``home``."""
    return home if home.type == "cuda" else torch.device("cuda")


def full_covariances(upper: Tensor) -> Tensor:
    """``[N, 3, 3]`` symmetric matrices from ``[N, 6]`` upper triangles, as gsplat expects them."""
    return upper[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(-1, 3, 3)


@contextmanager
def _enough_memory() -> Iterator[None]:
    """Raise a clear error if the device runs out of memory at any step."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise MissingDependencyError(
            "the CUDA device has too little free memory for this scene",
            "free some, or use --backend cpu",
        ) from error


def _rasterize(arguments: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Call gsplat and raise clear errors for its failures."""
    try:
        from gsplat import rasterization
    except (ImportError, OSError) as error:
        raise MissingDependencyError(f"gsplat does not load ({error})", CUDA_MEND) from error
    try:
        images, alpha, _ = rasterization(**arguments)
    except torch.cuda.OutOfMemoryError:
        raise
    except (AttributeError, RuntimeError) as error:
        # gsplat builds its kernels on the first call and leaves them None if it cannot.
        raise MissingDependencyError(
            f"gsplat does not run on this machine ({error})",
            CUDA_MEND,
        ) from error
    return images, alpha
