"""How far a network's maps are from those of an avatar; every loss is a mean over one picture."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from talkcli.engines.splat_portrait.align import Alignment
from talkcli.engines.splat_portrait.network import HeadMaps
from talkcli.shapes import Float
from talkcli.train.avatar_views import ALPHA, BACK, FACE, FRONT, PLACE, TINT, WEIGHT

#: Weights per centimetre of depth, of its slope per pixel, of the last surface and of the place on
#: the template; the others are of the order of 1.
_DEPTH, _SLOPE, _LAST, _PLACE = 0.5, 1.2, 0.16, 0.6
#: A slope that differs more, cm per pixel, is an edge that lies elsewhere.
_STEEP = 2.0
_WEIGHT, _TINT, _FACE = 0.3, 0.7, 0.3
#: Weights of centre, scale and roll (per unit), and of the turn (per 45 degrees).
_CENTRE, _SCALE, _ROLL, _TURN = 6.0, 5.0, 3.0, 3.0


def map_losses(
    given: HeadMaps, wanted: Float[Tensor, "B 11 M M"]
) -> dict[str, Float[Tensor, " B"]]:
    """``[B]`` each loss by name.

    Args:
        given: of B pictures.
        wanted: ``[B, 11, M, M]``, see :mod:`talkcli.train.avatar_views`.
    """
    alpha, face = wanted[:, ALPHA : ALPHA + 1], wanted[:, FACE:]
    solid, on_face = (alpha > 0.5).float(), (face > 0.5).float()
    front = wanted[:, FRONT : FRONT + 1]
    apart = given.front - front
    last = given.front + given.thickness - wanted[:, BACK : BACK + 1]
    shares = functional.binary_cross_entropy_with_logits
    weight = shares(given.weight, wanted[:, WEIGHT : WEIGHT + 1].clamp(0, 1), reduction="none")
    place = (given.place - wanted[:, PLACE]).abs().clamp(max=3)
    return {
        "depth": _DEPTH * _mean(apart.abs(), solid),
        "slope": _SLOPE * (_slope(apart, solid, 2) + _slope(apart, solid, 3)),
        "last": _LAST * _mean(last.abs(), solid),
        "alpha": shares(given.alpha, alpha.clamp(0, 1), reduction="none").mean((1, 2, 3)),
        "weight": _WEIGHT * _mean(weight, solid),
        "tint": _TINT * _mean((given.back - wanted[:, TINT]).abs(), solid),
        "place": _PLACE * _mean(place, on_face),
        "face": _FACE * shares(given.face, face.clamp(0, 1), reduction="none").mean((1, 2, 3)),
        "spread": 0.02 * given.spread.square().mean((1, 2, 3)),
    }


def pose_losses(given: Alignment, wanted: Alignment) -> dict[str, Float[Tensor, " B"]]:
    """``[B]`` each loss by name, of B alignments."""
    return {
        "centre": _CENTRE * (given.centre - wanted.centre).abs().mean(1),
        "scale": _SCALE * (given.scale / wanted.scale).log().abs(),
        "roll": _ROLL * (given.roll - wanted.roll).abs(),
        "turn": _TURN * (given.turn - wanted.turn).abs().mean(1),
    }


def view_loss(
    drawn: Float[Tensor, "4 S S"], target: Float[Tensor, "4 S S"], ground: Float[Tensor, "3 1 1"]
) -> Tensor:
    """L1 of two drawings before one colour, and of their coverage.

    Args:
        drawn: ``[4, S, S]`` premultiplied colour and coverage.
        target: likewise.
        ground: colour of the ground.
    """
    over = [image[:3] + ground * (1 - image[3:]) for image in (drawn, target)]
    return (over[0] - over[1]).abs().mean() + 0.5 * (drawn[3] - target[3]).abs().mean()


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    area = mask.sum((1, 2, 3)).clamp_min(1)
    return (values * mask).sum((1, 2, 3)) / (area * values.shape[1])


def _slope(apart: Tensor, mask: Tensor, axis: int) -> Tensor:
    size = apart.shape[axis] - 1
    both = mask.narrow(axis, 0, size) * mask.narrow(axis, 1, size)
    return _mean(apart.diff(dim=axis).abs().clamp(max=_STEEP), both)


def total(losses: dict[str, Tensor]) -> Tensor:
    """``[B]`` their sum."""
    return torch.stack(list(losses.values())).sum(0)
