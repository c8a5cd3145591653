"""The maps of a picture as splats, differentiable: what training draws from other sides.

Every pixel gives two splats: the surface that it shows, and, with the same ray, the last one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from talkcli.engines.splat_portrait.align import FOCAL, Alignment, grid_of
from talkcli.engines.splat_portrait.network import HeadMaps
from talkcli.render import render
from talkcli.shapes import Float
from talkcli.types import Cameras, Gaussians

#: Variance along a grid step in squared steps: of the seen surface, and of the last one.
_SEEN, _LAST = 0.3, 0.5
#: Thickness of every splat, in grid steps.
_THICK = 0.2
#: A tangent is at most this many grid steps long, lest splats at edges of depth become spikes.
_LONGEST = 5.0
#: Least coverage of pixels that give a splat of either surface.
_COVERED, _SOLID = 0.02, 0.4


@dataclass(frozen=True)
class HeadSplats:
    """N splats in the camera's frame, centimetres.

    Attributes:
        means: ``[N, 3]``.
        covars: ``[N, 3, 3]``.
        opacities: ``[N]``.
        colors: ``[N, 3]``.
        weights: ``[N]`` share of the head's rotation.
    """

    means: Float[Tensor, "N 3"]
    covars: Float[Tensor, "N 3 3"]
    opacities: Float[Tensor, " N"]
    colors: Float[Tensor, "N 3"]
    weights: Float[Tensor, " N"]

    def turned(self, rotation: Float[Tensor, " 3"], pivot: Float[Tensor, " 3"]) -> HeadSplats:
        """The head turned, the neck after it by its share.

        Args:
            rotation: axis times angle, camera axes.
            pivot: centre of the rotation, centimetres.
        """
        turn = _turns(rotation, self.weights)
        means = (turn @ (self.means - pivot)[..., None])[..., 0] + pivot
        covars = turn @ self.covars @ turn.transpose(1, 2)
        return HeadSplats(means, covars, self.opacities, self.colors, self.weights)

    def gaussians(self) -> Gaussians:
        """As the renderer takes them."""
        upper = self.covars[:, (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)]
        return Gaussians(
            means=self.means.contiguous(),
            opacities=self.opacities.contiguous(),
            colors=self.colors.contiguous(),
            covars=upper.contiguous(),
        )


def head_splats(
    maps: HeadMaps, colors: Float[Tensor, "1 3 M M"], seen: Alignment, focal: float = FOCAL
) -> HeadSplats:
    """The splats of one picture.

    Args:
        maps: of one picture.
        colors: ``[1, 3, M, M]`` the aligned picture.
        seen: where its head lies; one.
        focal: focal length of the crop in its sides.
    """
    side = colors.shape[-1]
    rays = grid_of(seen.matrix(), side)[0] * (0.5 / focal)
    alpha = torch.sigmoid(maps.alpha[0, 0])
    weight = torch.sigmoid(maps.weight[0, 0])
    step = float(seen.scale[0]) / side / focal
    parts = []
    for last in (False, True):
        depth = seen.distance(focal)[0] + maps.front[0, 0]
        if last:
            depth = depth + maps.thickness[0, 0]
        points = torch.cat([rays * depth[..., None], depth[..., None]], -1)
        spread = torch.full_like(alpha, _LAST) if last else _SEEN * (2 * maps.spread[0, 0]).exp()
        shape = _shape(points, step * depth.detach(), spread)
        kept = alpha > (_SOLID if last else _COVERED)
        shown = maps.back if last else colors + maps.change
        parts.append(
            HeadSplats(
                points[kept], shape[kept], alpha[kept], shown[0].permute(1, 2, 0)[kept],
                weight[kept],
            )
        )  # fmt: skip
    front, back = parts
    return HeadSplats(
        torch.cat([front.means, back.means]),
        torch.cat([front.covars, back.covars]),
        torch.cat([front.opacities, back.opacities]),
        torch.cat([front.colors, back.colors]),
        torch.cat([front.weights, back.weights]),
    )


def draw(splats: HeadSplats, side: int, focal: float = FOCAL) -> Float[Tensor, "4 S S"]:
    """``[4, S, S]`` premultiplied colour and coverage in the crop's camera."""
    device = splats.means.device
    intrinsics = torch.tensor(
        [[focal * side, 0, side / 2], [0, focal * side, side / 2], [0, 0, 1.0]], device=device
    )
    cameras = Cameras(torch.eye(4, device=device)[None], intrinsics[None], side, side)
    drawn = render(splats.gaussians(), cameras, depth=False)
    return torch.cat([drawn.rgb[0], drawn.alpha[0]], -1).permute(2, 0, 1)


def _shape(points: Tensor, step: Tensor, spread: Tensor) -> Tensor:
    """``[M, M, 3, 3]`` covariances from the grid's tangents; ``step`` is a pixel, centimetres."""
    total = torch.zeros(*step.shape, 3, 3, device=points.device)
    for axis in (0, 1):
        tangent = torch.gradient(points, dim=axis)[0]
        length = tangent.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        tangent = tangent * (_LONGEST * step[..., None] / length).clamp(max=1)
        total = total + tangent[..., :, None] * tangent[..., None, :]
    flat = (_THICK * step)[..., None, None] ** 2 * torch.eye(3, device=points.device)
    return total * spread[..., None, None] + flat


def _turns(rotation: Tensor, shares: Tensor) -> Tensor:
    """``[N, 3, 3]`` rotations by shares ``[N]`` of ``rotation [3]`` (Rodrigues' formula)."""
    angle = rotation.norm().clamp_min(1e-9)
    x, y, z = (rotation / angle).unbind()
    none = torch.zeros_like(x)
    cross = torch.stack([none, -z, y, z, none, -x, -y, x, none]).reshape(3, 3)
    turned = (shares * angle)[:, None, None]
    eye = torch.eye(3, device=rotation.device)
    return eye + turned.sin() * cross + (1 - turned.cos()) * (cross @ cross)
