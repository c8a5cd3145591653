"""The source's head and the same head turned, as its avatar shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from talkcli.engines.portrait.rig import rotation_vector
from talkcli.face.pose import fit_similarity
from talkcli.shapes import Float
from talkcli.train.augment import Sample
from talkcli.train.avatar_views import ALPHA, MAP_PX, AvatarViews

#: Side of the drawings.
SIDE_PX = MAP_PX


@dataclass(frozen=True)
class TurnedView:
    """What a sample's head must look like after a turn.

    Attributes:
        rotation: ``[3]`` axis times angle, camera axes.
        pivot: ``[3]`` centre of the rotation, centimetres as they appear.
        target: ``[4, S, S]`` premultiplied colour and coverage in the crop's camera.
    """

    rotation: Float[Tensor, " 3"]
    pivot: Float[Tensor, " 3"]
    target: Float[Tensor, "4 S S"]


def turned_view(person: AvatarViews, sample: Sample) -> TurnedView:
    """The second view of a sample's person, with the sample's light and mirrored as it is."""
    source, turned = person.views[0], person.views[1]
    rotation = rotation_vector(fit_similarity(source.vertices, turned.vertices)[1])
    truth = float(source.seen.scale / sample.seen.scale)
    pivot = source.pivot * truth
    alpha = turned.maps[ALPHA : ALPHA + 1].float()
    both = torch.stack([turned.picture, person.plate]).float() / 255
    shown, plate = functional.interpolate(both, size=(SIDE_PX, SIDE_PX), mode="area")
    own = (shown - (1 - alpha) * plate) * sample.shown.gain + sample.shown.bias * alpha
    target = torch.cat([own.clamp(0, 1), alpha])
    if sample.shown.flipped:
        target = target.flip(-1)
        rotation = rotation * (1, -1, -1)
        pivot = pivot * (-1, 1, 1)
    return TurnedView(
        torch.from_numpy(np.asarray(rotation, np.float32)),
        torch.from_numpy(np.asarray(pivot, np.float32)),
        target,
    )
