"""The whole network: find the head, set it upright, correct the mean maps of its pose.

Zero weights give the mean head of the people it was trained on, in the pose that was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from talkcli.engines.splat_portrait.align import Alignment, grid_of, mean_of, sample
from talkcli.engines.splat_portrait.unet import LOOK_PX, NetworkSize, PoseNet, UNet
from talkcli.errors import InputError
from talkcli.files.tensors import TensorSchema
from talkcli.shapes import Float

SCHEMA = 1
_MEND = "train it again, or leave out splat_portrait.weights"
_FILE = TensorSchema("network", SCHEMA, _MEND, {})
ENGINE = "splat-portrait"
#: Mean maps: depth of the first surface, thickness to the last one (both in units of 10 cm),
#: coverage, share of the head's rotation, place on the template's face (3, units of 10 cm), and
#: whether a pixel shows the face.
CHANNELS = 8
#: Unit of lengths in maps, centimetres.
UNIT_CM = 10.0
#: Side of the mean maps.
MEAN_PX = 64
#: Probabilities of the mean maps stay this far from certainty.
_SURE = 0.02
#: Windows in which a head is looked for: shift, size, and whether they are mirrored.
_WINDOWS = tuple(
    (x, y, size, sign)
    for x, y, size in ((0, 0, 1), (0.06, 0, 0.92), (-0.06, 0, 1.08), (0, 0.06, 1), (0, -0.06, 1))
    for sign in (1, -1)
)
#: Corrections of the network's outputs are multiplied by these, so that all are of one order.
_GAINS = (0.4, 0.4, 4.0, 4.0, 0.5, 0.5, 0.5, 4.0)
_MOST_COLOR, _MOST_SCALE = 0.2, 0.7


@dataclass(frozen=True)
class HeadMaps:
    """What the network says of B aligned pictures; maps are ``[B, ·, M, M]``.

    Attributes:
        front: ``[B, 1, M, M]`` camera z of the first surface behind the head's origin, cm.
        thickness: ``[B, 1, M, M]`` from there to the last surface, cm, not negative.
        alpha: ``[B, 1, M, M]`` logit of the coverage by head and neck.
        weight: ``[B, 1, M, M]`` logit of the share of the head's rotation.
        place: ``[B, 3, M, M]`` the point of the template that a pixel of the face shows, cm.
        face: ``[B, 1, M, M]`` logit of showing the face.
        back: ``[B, 3, M, M]`` colour of the last surface, 0–1.
        change: ``[B, 3, M, M]`` what is added to the source's colours.
        spread: ``[B, 1, M, M]`` logarithm of the splats' size.
    """

    front: Float[Tensor, "B 1 M M"]
    thickness: Float[Tensor, "B 1 M M"]
    alpha: Float[Tensor, "B 1 M M"]
    weight: Float[Tensor, "B 1 M M"]
    place: Float[Tensor, "B 3 M M"]
    face: Float[Tensor, "B 1 M M"]
    back: Float[Tensor, "B 3 M M"]
    change: Float[Tensor, "B 3 M M"]
    spread: Float[Tensor, "B 1 M M"]

    def of(self, number: int) -> HeadMaps:
        """Those of one picture, ``B`` = 1."""
        return HeadMaps(*(getattr(self, f.name)[number : number + 1] for f in fields(self)))


def pose_terms(turn: Float[Tensor, "B 2"]) -> Float[Tensor, "B 6"]:
    """``[B, 6]`` the terms of second order in yaw and pitch that mean maps are made of."""
    yaw, pitch = turn.clamp(-1.2, 1.2).unbind(-1)
    one = torch.ones_like(yaw)
    return torch.stack([one, yaw, pitch, yaw * yaw, pitch * pitch, yaw * pitch], -1)


class SplatPortraitNet(nn.Module):
    """See the module.

    Args:
        size: size of the U-Net.

    Attributes:
        mean: ``[6, 8, 64, 64]`` coefficients of the mean maps, a buffer.
    """

    mean: Tensor

    def __init__(self, size: NetworkSize) -> None:
        super().__init__()
        self.size = size
        self.pose = PoseNet()
        self.unet = UNet(size, CHANNELS)
        self.register_buffer("mean", torch.zeros(6, CHANNELS, MEAN_PX, MEAN_PX))
        self.register_buffer("gains", torch.tensor(_GAINS)[:, None, None], persistent=False)

    def find(self, pictures: Float[Tensor, "B 3 S S"], rounds: int = 2) -> Alignment:
        """Find the heads, each round about what the one before has found.

        The mean of what ten windows say, half of them mirrored, is nearer than any one's.

        Args:
            pictures: ``[B, 3, S, S]`` crops, 0–1.
            rounds: how often to look.
        """
        side = LOOK_PX * 3 // 2
        small = functional.interpolate(pictures, size=(side, side), mode="bilinear", antialias=True)
        count = len(pictures)
        none = pictures.new_zeros(count)
        found = Alignment(
            pictures.new_zeros(count, 2), none + 1, none, pictures.new_zeros(count, 2)
        )
        for _ in range(rounds):
            found = mean_of([self._look(small, found, window) for window in _WINDOWS])
        return found

    def _look(self, small: Tensor, about: Alignment, window: tuple[float, ...]) -> Alignment:
        """What one window about an alignment says."""
        x, y, size, sign = window
        none = torch.zeros_like(about.scale)
        offset = torch.stack([none + x, none + y], 1)
        there = about.then(Alignment(offset, none + size, none, about.turn))
        grid = grid_of(there.matrix(), LOOK_PX)
        said: Alignment = self.pose(
            sample(small, grid).flip(-1) if sign < 0 else sample(small, grid)
        )
        return there.then(said.mirrored() if sign < 0 else said)

    def forward(self, pictures: Float[Tensor, "B 3 M M"], seen: Alignment) -> HeadMaps:
        """The maps of aligned pictures.

        Args:
            pictures: ``[B, 3, M, M]`` aligned, 0–1.
            seen: where they lie in their crops, and how the heads are turned.
        """
        mean = self.mean_maps(seen.turn)
        correction, own = self.unet(pictures, mean, seen.camera())
        side = pictures.shape[-1]
        whole = functional.interpolate(mean, size=(side, side), mode="bicubic")
        maps = whole + self.gains * correction
        # Thickness has no negative values; its mean is far from nothing inside the head.
        tint = torch.sigmoid(own[:, :3] * 2)
        return HeadMaps(
            front=maps[:, 0:1] * UNIT_CM,
            thickness=functional.softplus(maps[:, 1:2] * 8) * (UNIT_CM / 8),
            alpha=maps[:, 2:3],
            weight=maps[:, 3:4],
            place=maps[:, 4:7] * UNIT_CM,
            face=maps[:, 7:8],
            back=tint,
            change=_MOST_COLOR * torch.tanh(own[:, 3:6]),
            spread=_MOST_SCALE * torch.tanh(own[:, 6:7]),
        )

    def mean_maps(self, turn: Float[Tensor, "B 2"]) -> Float[Tensor, "B 8 m m"]:
        """``[B, 8, 64, 64]`` the mean maps of poses; probabilities as logits."""
        maps = torch.einsum("bt,tchw->bchw", pose_terms(turn), self.mean)
        shares = maps[:, (2, 3, 7)].clamp(_SURE, 1 - _SURE).logit()
        return torch.cat([maps[:, :2], shares[:, :2], maps[:, 4:7], shares[:, 2:]], 1)

    def save(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Write the weights in half precision.

        Args:
            path: the file.
            facts: JSON values: what it was trained on, under which licence, for how long.
        """
        tensors = {k: v.detach().cpu().numpy() for k, v in self.state_dict().items()}
        halves = {k: v.astype(np.float16) for k, v in tensors.items()}
        _FILE.write(path, halves, {"engine": ENGINE, "size": asdict(self.size), **facts})

    @staticmethod
    def load(path: Path) -> SplatPortraitNet:
        """Read weights.

        Raises:
            InputError: missing, damaged, of another network or of a newer schema.
        """
        tensors, header = _FILE.read(path)
        if header.get("engine") != ENGINE:
            raise InputError(f"{path} holds no weights of {ENGINE}", _MEND)
        try:
            size = dict(header["size"])
            network = SplatPortraitNet(NetworkSize(**{**size, "widths": tuple(size["widths"])}))
            state = {name: torch.from_numpy(array) for name, array in tensors.items()}
            network.load_state_dict(state)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            # The first line of torch's only says what was loaded.
            told = str(error).strip().splitlines()[-1].strip()
            raise InputError(
                f"the weights {path} do not fit their network ({told})", _MEND
            ) from error
        return network.eval()
