"""Synthetic heads for timing renderers, with splats as many and as dense as an avatar's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from talkcli.avatar import Camera
from talkcli.render.reference import world_covariances
from talkcli.types import Cameras, Gaussians, SplatArrays


@dataclass(frozen=True)
class Scene:
    """Splats and one square camera."""

    gaussians: Gaussians
    cameras: Cameras

    def splats(self) -> SplatArrays:
        """The splats for :func:`talkcli.render.cpu.rasterize`."""
        g = self.gaussians
        full = world_covariances(g)
        upper = torch.stack([full[:, i, j] for i in range(3) for j in range(i, 3)], -1)
        return SplatArrays(*(t.numpy() for t in (g.means, upper, g.opacities, g.colors)))

    def camera(self) -> Camera:
        """The camera for :func:`talkcli.render.cpu.rasterize`."""
        c = self.cameras
        return Camera(c.viewmats[0].numpy(), c.Ks[0].numpy(), c.width, c.height)


def head(count: int, size: int) -> Scene:
    """An ellipsoid that fills half of the picture, covered with flat splats of 0.7 to 1.5 px.

    Args:
        count: number of splats.
        size: side of the picture, px.
    """
    rng = np.random.default_rng(0)
    distance, focal = 6.0, 1.2 * size
    radius = math.sqrt(0.5 * size * size / (math.pi * 0.8)) * distance / focal
    half_axes = radius * np.array([0.8, 1.0, 0.72])
    normals = rng.normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    means = normals * half_axes
    outward = normals / half_axes
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    # The quaternion half-way from z to the normal.
    quats = np.concatenate([1 + outward[:, 2:], np.stack([-outward[:, 1], outward[:, 0]], 1)], 1)
    quats = np.concatenate([quats, np.zeros((count, 1))], 1)
    sigmas = rng.uniform(0.7, 1.5, (count, 3))
    sigmas[:, 2] = 0.3
    return Scene(
        Gaussians(
            means=tensor(means),
            opacities=tensor(rng.uniform(0.82, 0.98, count)),
            colors=tensor(0.5 + 0.5 * np.sin(7 * means)),
            quats=tensor(quats),
            scales=tensor(sigmas * distance / focal),
        ),
        camera(size, focal, distance),
    )


def camera(size: int, focal: float, distance: float) -> Cameras:
    """A square camera that looks at the origin along z.

    Args:
        size: side of the picture, px.
        focal: focal length, px.
        distance: of the camera from the origin.
    """
    view = torch.eye(4)
    view[2, 3] = distance
    K = torch.tensor([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    return Cameras(view[None], K[None], size, size)


def tensor(array: np.ndarray) -> torch.Tensor:
    """The array as a float32 tensor."""
    return torch.tensor(array, dtype=torch.float32)
