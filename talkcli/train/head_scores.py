"""How near a network's heads come to avatars of people that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from talkcli.engines.splat_portrait.align import ANGLE, Alignment, grid_of, sample
from talkcli.engines.splat_portrait.look import LookedAt, look_at
from talkcli.engines.splat_portrait.network import SplatPortraitNet
from talkcli.engines.splat_portrait.unet import MAP_PX
from talkcli.face.model import FaceModel
from talkcli.shapes import Float
from talkcli.train.avatar_views import ALPHA, BACK, FACE, FRONT, PLACE, AvatarView, AvatarViews


@dataclass(frozen=True)
class HeadScores:
    """Means over people.

    Attributes:
        depth_mm: mean distance of the first surface over the head, its median removed.
        last_mm: that of the last surface, likewise without the first one's median.
        iou: of the coverage.
        place_mm: of the points of the template that the face's pixels show.
        yaw_deg: mean absolute error of the yaw.
        pitch_deg: of the pitch.
        centre: distance of the head's origin, % of the side of the crop.
        scale: % of the size.
    """

    depth_mm: float
    last_mm: float
    iou: float
    place_mm: float
    yaw_deg: float
    pitch_deg: float
    centre: float
    scale: float

    @property
    def merit(self) -> float:
        """One number for the loop: higher is better."""
        return -self.depth_mm - 20 * (1 - self.iou) - 0.5 * self.place_mm - 0.3 * self.yaw_deg

    def as_json(self) -> dict[str, float]:
        """The figures, rounded."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def score_heads(
    network: SplatPortraitNet, people: Sequence[AvatarViews], *, posed: bool = False
) -> HeadScores:
    """Score the sources' own views of some people.

    Args:
        network: the network.
        people: whom.
        posed: tell it where the heads are and how they are turned.
    """
    was_training = network.training
    network.eval()
    with torch.no_grad():
        rows = [_score(network, person.views[0], posed) for person in people]
    network.train(was_training)
    return HeadScores(*(float(v) for v in np.nanmean(np.array(rows), 0)))


def maps_in_crop(looked: LookedAt) -> Float[Tensor, "8 M M"]:
    """``[8, M, M]`` maps in the frame of the crop.

    First surface, last one (cm), coverage (0-1), place (3, cm), face, share of rotation (0-1).
    """
    maps = looked.maps
    laid = torch.cat(
        [
            maps.front, maps.front + maps.thickness, torch.sigmoid(maps.alpha), maps.place,
            torch.sigmoid(maps.face), torch.sigmoid(maps.weight),
        ], 1,
    )  # fmt: skip
    grid = grid_of(looked.seen.inverse(), MAP_PX)
    there = sample(laid, grid)
    inside = (grid.abs().amax(-1) < 1).float()[:, None]
    return torch.cat([there[:, :2], there[:, 2:3] * inside, there[:, 3:]], 1)[0].cpu()


def _score(network: SplatPortraitNet, view: AvatarView, posed: bool) -> list[float]:
    device = next(network.parameters()).device
    picture = view.picture[None].float().to(device) / 255
    known = Alignment(**{k: v.to(device) for k, v in vars(view.seen).items()}) if posed else None
    looked = look_at(network, picture, FaceModel.load(), known)
    given, found = maps_in_crop(looked), looked.seen
    truth, wanted = view.seen, view.maps.float()
    # An avatar of another size at another distance is the same picture.
    size = float(found.scale / truth.scale)
    solid, face = wanted[ALPHA] > 0.5, wanted[FACE] > 0.5
    front = (given[0] * size - wanted[FRONT])[solid]
    middle = front.median()
    last = (given[1] * size - wanted[BACK])[solid] - middle
    covered = given[2] > 0.5
    union = (covered | solid).sum()
    place = (given[3:6] - wanted[PLACE])[:, face]
    turn = np.abs(np.array(looked.euler[:2]) - truth.turn[0].numpy() * np.degrees(ANGLE))
    return [
        10 * float((front - middle).abs().mean()),
        10 * float(last.abs().mean()),
        float((covered & solid).sum() / union),
        10 * float(place.norm(dim=0).mean()),
        float(turn[0]),
        float(turn[1]),
        50 * float((found.centre.cpu() - truth.centre).norm()),
        100 * abs(size - 1),
    ]
