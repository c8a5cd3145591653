"""Jobs that exercise a renderer: a frame, its gradients, one iteration of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from talkcli.bench.scenes import Scene, head
from talkcli.bench.timing import Job, Timing, interleaved
from talkcli.render import render
from talkcli.render.cpu import RasterSettings, Workspace, rasterize
from talkcli.render.cpu.loss import l1_ssim
from talkcli.types import Gaussians

#: Number of splats and side of the picture (px) of each scene.
SCENES = ((20_000, 256), (60_000, 512), (120_000, 512))
_FIELDS = ("means", "quats", "scales", "opacities", "colors")


@dataclass(frozen=True)
class SceneTimings:
    """How long a renderer takes for one head.

    Attributes:
        splats: number of splats.
        size: side of the picture, px.
        forward: one frame, drawn as for a video.
        backward: gradients of every parameter of a frame, without drawing it.
        fit: rendering, L1 + SSIM, backward pass, Adam over every parameter.
    """

    splats: int
    size: int
    forward: Timing
    backward: Timing
    fit: Timing

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        values: dict[str, Any] = {"splats": self.splats, "size": self.size}
        for name in ("forward", "backward", "fit"):
            values[name] = getattr(self, name).as_json()
        return values


def time_renderer(
    backend: str, scenes: Sequence[tuple[int, int]] = SCENES, repeats: int = 40
) -> list[SceneTimings]:
    """Time the renderer on heads of several sizes, interleaved.

    Args:
        backend: ``cpu`` or ``cuda``.
        scenes: number of splats and side of the picture (px) of each.
        repeats: number of timed rounds.
    """
    jobs: dict[str, Job] = {}
    for number, (splats, size) in enumerate(scenes):
        scene = head(splats, size)
        jobs[f"{number} forward"] = frame_job(scene, backend)
        jobs[f"{number} backward"] = backward_job(scene, backend)
        jobs[f"{number} fit"] = fitting_job(scene, backend)
    times = interleaved(jobs, repeats, settle=settle_job(backend))
    return [
        SceneTimings(
            splats, size, *(times[f"{i} {name}"] for name in ("forward", "backward", "fit"))
        )
        for i, (splats, size) in enumerate(scenes)
    ]


def settle_job(backend: str) -> Job | None:
    """Waits for the back-end, if its calls return before the work is done."""
    return torch.cuda.synchronize if backend == "cuda" else None


def frame_job(scene: Scene, backend: str = "cpu", threads: int | None = None) -> Job:
    """Draws one frame as for a video: on the CPU from numpy arrays, with reused memory."""
    if backend == "cpu":
        splats, camera, workspace = scene.splats(), scene.camera(), Workspace()
        settings = RasterSettings(threads=threads)
        return lambda: rasterize(splats, camera, workspace, settings=settings)
    gaussians, cameras = on_device(scene, backend)

    def draw() -> Tensor:
        with torch.no_grad():
            return render(gaussians, cameras, backend=backend).rgb

    return draw


def differentiable_frame_job(scene: Scene, backend: str = "cpu") -> Job:
    """Draws one frame with torch and keeps what the gradients need."""
    gaussians, cameras = on_device(scene, backend)
    leaves = _leaves(gaussians)
    return lambda: render(replace(gaussians, **leaves), cameras, backend=backend).rgb


def backward_job(scene: Scene, backend: str = "cpu") -> Job:
    """Computes the gradients of every parameter of a frame drawn once in advance."""
    gaussians, cameras = on_device(scene, backend)
    leaves = _leaves(gaussians)
    image = render(replace(gaussians, **leaves), cameras, backend=backend).rgb
    generator = torch.Generator().manual_seed(0)
    to_image = torch.randn(image.shape, generator=generator).to(image)
    return lambda: torch.autograd.grad(image, list(leaves.values()), to_image, retain_graph=True)


def fitting_job(scene: Scene, backend: str = "cpu") -> Job:
    """One iteration of a fit that starts from grey, faint, enlarged splats."""
    gaussians, cameras = on_device(scene, backend)
    assert gaussians.scales is not None
    with torch.no_grad():
        target = render(gaussians, cameras, backend=backend).rgb[0]
    leaves = _leaves(
        replace(
            gaussians,
            scales=gaussians.scales.log() + 0.2,
            opacities=torch.full_like(gaussians.opacities, -0.4),
            colors=torch.zeros_like(gaussians.colors),
        )
    )
    loss = l1_ssim if backend == "cpu" else torch_l1_ssim
    optimizer = torch.optim.Adam(
        [{"params": [leaf], "lr": 1e-3} for leaf in leaves.values()], eps=1e-15, fused=True
    )

    def step() -> None:
        splats = Gaussians(
            means=leaves["means"],
            quats=leaves["quats"],
            scales=leaves["scales"].exp(),
            opacities=leaves["opacities"].sigmoid(),
            colors=leaves["colors"].sigmoid(),
        )
        image = render(splats, cameras, backend=backend, depth=False).rgb[0]
        loss(image, target, 0.2).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def on_device(scene: Scene, backend: str) -> tuple[Gaussians, Any]:
    """A scene's splats and cameras on the back-end's device."""
    device = "cuda" if backend == "cuda" else "cpu"
    fields = {name: getattr(scene.gaussians, name).to(device) for name in _FIELDS}
    cameras = scene.cameras
    cameras = replace(cameras, viewmats=cameras.viewmats.to(device), Ks=cameras.Ks.to(device))
    return Gaussians(**fields), cameras


def _leaves(gaussians: Gaussians) -> dict[str, Tensor]:
    return {name: getattr(gaussians, name).clone().requires_grad_() for name in _FIELDS}


def torch_l1_ssim(image: Tensor, target: Tensor, ssim_weight: float) -> Tensor:
    """:func:`talkcli.render.cpu.loss.l1_ssim` in the fastest way that torch offers.

    Channels are groups of a convolution with a separable window.
    """
    offsets = torch.arange(11, device=image.device) - 5.0
    taps = torch.exp(-(offsets**2) / (2 * 1.5**2))
    rows = (taps / taps.sum()).view(1, 1, 1, 11).repeat(3, 1, 1, 1)

    def blur(planes: Tensor) -> Tensor:
        across = torch.nn.functional.conv2d(planes, rows, padding=(0, 5), groups=3)
        down = rows.transpose(2, 3)
        return torch.nn.functional.conv2d(across, down, padding=(5, 0), groups=3)

    x, y = image.permute(2, 0, 1)[None], target.permute(2, 0, 1)[None]
    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    cov = blur(x * y) - mean_x * mean_y
    ssim = (2 * mean_x * mean_y + 1e-4) * (2 * cov + 9e-4)
    ssim = ssim / ((mean_x**2 + mean_y**2 + 1e-4) * (var_x + var_y + 9e-4))
    return (1 - ssim_weight) * (x - y).abs().mean() + ssim_weight * (1 - ssim.mean())
