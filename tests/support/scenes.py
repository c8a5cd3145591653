"""Random scenes that reach every branch of a renderer, shared by the renderer's tests."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from talkcli.types import Cameras, Gaussians


@dataclass
class Scene:
    """A scene in float64, so that every back-end starts from the same rounded numbers."""

    gaussians: Gaussians
    cameras: Cameras

    def to(self, dtype: torch.dtype) -> Scene:
        """The same numbers in another precision."""
        moved = {
            name: value.to(dtype)
            for name, value in vars(self.gaussians).items()
            if value is not None
        }
        cameras = replace(
            self.cameras, viewmats=self.cameras.viewmats.to(dtype), Ks=self.cameras.Ks.to(dtype)
        )
        return Scene(Gaussians(**moved), cameras)


@dataclass(frozen=True)
class Recipe:
    """How to draw a random scene.

    Attributes:
        count: splats.
        size: width and height, px.
        log_scale: mean of the logarithm of the standard deviations, world units.
        scale_spread: its standard deviation.
        opacity: smallest and largest.
        spread: side of the cube that holds the centres; the camera stands 4 from its middle.
    """

    count: int = 60
    size: tuple[int, int] = (40, 36)
    log_scale: float = -2.2
    scale_spread: float = 0.5
    opacity: tuple[float, float] = (0.02, 0.99)
    spread: float = 2.2


RECIPES: dict[str, Recipe] = {
    "plain": Recipe(),
    "none": Recipe(count=0),
    "one": Recipe(count=1, opacity=(0.9, 0.99)),
    "sixteen": Recipe(count=16),
    "dense, stops early": Recipe(count=400, log_scale=-1.6, opacity=(0.5, 0.99), spread=2.0),
    "clamped alpha": Recipe(count=300, log_scale=-2.0, opacity=(0.995, 1.0), spread=2.0),
    "over the borders": Recipe(count=120, size=(70, 50), log_scale=-0.7, spread=6.0),
    "behind the camera": Recipe(count=150, spread=12.0, log_scale=-1.0),
    "huge": Recipe(count=40, log_scale=1.5, scale_spread=0.3, opacity=(0.02, 0.5), spread=3.0),
    "tiny": Recipe(count=500, log_scale=-7.0, opacity=(0.3, 0.99)),
    "needles": Recipe(count=100, log_scale=-2.5, scale_spread=1.2),
    "faint": Recipe(count=100, log_scale=-1.5, opacity=(0.001, 0.01)),
    "one column": Recipe(count=80, size=(1, 40)),
    "several tiles": Recipe(count=300, size=(99, 65), log_scale=-2.4, spread=3.0),
}


def make_scene(recipe: Recipe, seed: int = 0, cameras: int = 1, covars: bool = False) -> Scene:
    """A random scene seen by cameras that turn about it."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    n, (width, height) = recipe.count, recipe.size
    low, high = recipe.opacity
    quats, scales = normal(n, 4), torch.exp(normal(n, 3) * recipe.scale_spread + recipe.log_scale)
    gaussians = Gaussians(
        means=(uniform(n, 3) - 0.5) * recipe.spread,
        opacities=uniform(n) * (high - low) + low,
        colors=uniform(n, 3),
        quats=quats,
        scales=scales,
    )
    if covars:
        axes = torch.linalg.qr(normal(n, 3, 3))[0] * scales[:, None, :]
        full = axes @ axes.transpose(1, 2)
        upper = torch.stack([full[:, i, j] for i in range(3) for j in range(i, 3)], -1)
        gaussians = replace(gaussians, quats=None, scales=None, covars=upper.reshape(n, 6))
    views, Ks = [], []
    for camera in range(cameras):
        angle = torch.tensor(0.3 - 0.5 * camera, dtype=torch.float64)
        view = torch.eye(4, dtype=torch.float64)
        view[0, 0] = view[2, 2] = torch.cos(angle)
        view[0, 2], view[2, 0] = torch.sin(angle), -torch.sin(angle)
        view[2, 3] = 4.0
        views.append(view)
        focal = 1.4 * max(width, height)
        K = [[focal, 0, width / 2 - 0.5], [0, 0.95 * focal, height / 2 + 0.3], [0, 0, 1]]
        Ks.append(torch.tensor(K, dtype=torch.float64))
    scene = Scene(gaussians, Cameras(torch.stack(views), torch.stack(Ks), width, height))
    return scene.to(torch.float32).to(torch.float64)
