"""The upright square about a head, in which the network sees it, and the camera that sees it there.

Crop coordinates run from -1 to 1 over a square picture, x right and y down; a pinhole camera with a
focal length of ``FOCAL`` sides sees it, its axis through the middle. Aligned coordinates run from
-1 to 1 over a square of ``SIDE_CM`` in the plane of the head's origin, which lies in its middle;
the head stands upright there. A similarity leads from the one to the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from talkcli.shapes import Float

#: Side of the aligned square, centimetres: that of the standard crop of the median face.
SIDE_CM = 44.0
#: Focal length of the standard crop in its sides: six face heights on 2.75.
FOCAL = 6 / 2.75
#: Unit of the angles that networks see and give, radians: 45 degrees.
ANGLE = math.pi / 4


@dataclass(frozen=True)
class Alignment:
    """Where B heads are in their crops, and how they are turned.

    Attributes:
        centre: ``[B, 2]`` the head's origin, crop coordinates.
        scale: ``[B]`` half sides of the crop per half side of the aligned square.
        roll: ``[B]`` radians, > 0 clockwise as seen.
        turn: ``[B, 2]`` yaw and pitch in units of ``ANGLE``.
    """

    centre: Float[Tensor, "B 2"]
    scale: Float[Tensor, " B"]
    roll: Float[Tensor, " B"]
    turn: Float[Tensor, "B 2"]

    def matrix(self) -> Float[Tensor, "B 2 3"]:
        """``[B, 2, 3]`` from aligned to crop coordinates."""
        cosine, sine = self.scale * self.roll.cos(), self.scale * self.roll.sin()
        rows = [torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)]
        return torch.cat([torch.stack(rows, 1), self.centre[..., None]], -1)

    def inverse(self) -> Float[Tensor, "B 2 3"]:
        """``[B, 2, 3]`` from crop to aligned coordinates."""
        cosine, sine = self.roll.cos() / self.scale, self.roll.sin() / self.scale
        rows = [torch.stack([cosine, sine], -1), torch.stack([-sine, cosine], -1)]
        turn = torch.stack(rows, 1)
        return torch.cat([turn, -turn @ self.centre[..., None]], -1)

    def then(self, found: Alignment) -> Alignment:
        """The alignment in the crop of heads ``found`` in the aligned squares of this one."""
        centre = (self.matrix() @ _homogeneous(found.centre)[..., None])[..., 0]
        scale, roll = self.scale * found.scale, self.roll + found.roll
        return Alignment(centre, scale, roll, found.turn)

    def mirrored(self) -> Alignment:
        """Where the heads are in the mirror images."""
        sign = self.centre.new_tensor([-1.0, 1.0])
        return Alignment(self.centre * sign, self.scale, -self.roll, self.turn * sign)

    def distance(self, focal: float = FOCAL) -> Float[Tensor, " B"]:
        """``[B]`` camera z of the head's origin, centimetres.

        Args:
            focal: focal length in sides of the crop.
        """
        return SIDE_CM * focal / self.scale

    def camera(self, focal: float = FOCAL) -> Float[Tensor, "B 6"]:
        """``[B, 6]`` what the network is told of the camera: all of the order of 1.

        The camera's translation in metres, its focal length in sides of the aligned square, and
        the head's yaw and pitch.
        """
        z = self.distance(focal)
        middle = self.centre * (0.5 / focal * z[:, None])
        where = torch.cat([middle, z[:, None]], -1) / 100
        return torch.cat([where, focal / self.scale[:, None], self.turn], -1)


def mean_of(parts: Sequence[Alignment]) -> Alignment:
    """The mean of several alignments of the same heads, of their sizes the geometric one."""
    centre, roll, turn = (
        torch.stack([getattr(part, name) for part in parts]).mean(0)
        for name in ("centre", "roll", "turn")
    )
    return Alignment(centre, torch.stack([p.scale.log() for p in parts]).mean(0).exp(), roll, turn)


def grid_of(matrix: Float[Tensor, "B 2 3"], side: int) -> Float[Tensor, "B side side 2"]:
    """``[B, side, side, 2]`` where the pixels' centres of a square picture are led to."""
    return functional.affine_grid(matrix, [len(matrix), 1, side, side], align_corners=False)


def sample(
    images: Float[Tensor, "B C H W"], grid: Float[Tensor, "B h w 2"], border: str = "border"
) -> Float[Tensor, "B C h w"]:
    """``[B, C, h, w]`` pictures at the points of a grid, linearly between pixels."""
    return functional.grid_sample(images, grid, padding_mode=border, align_corners=False)


def _homogeneous(points: Tensor) -> Tensor:
    return torch.cat([points, torch.ones_like(points[..., :1])], -1)
