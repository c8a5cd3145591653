"""The mean maps of people in a pose: ordinary least squares, before any step is taken."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from talkcli.engines.splat_portrait.align import Alignment, grid_of
from talkcli.engines.splat_portrait.network import CHANNELS, MEAN_PX, UNIT_CM, pose_terms
from talkcli.shapes import Float
from talkcli.train.avatar_views import ALPHA, BACK, FACE, FRONT, PLACE, WEIGHT, AvatarViews, warped

#: Ridge on every term but the constant one, in samples, and on the constant one.
_RIDGE, _LEAST = 4.0, 1e-2


def fit_mean_maps(people: Sequence[AvatarViews]) -> Float[Tensor, "6 8 m m"]:
    """``[6, 8, 64, 64]`` coefficients of :func:`pose_terms`, from all views, mirrored too.

    Depths and weights are fitted where there is a head, places where there is a face.
    """
    terms = 6
    # Of the weights 1, coverage and face: products of terms, and products with the maps.
    left = torch.zeros(3, MEAN_PX, MEAN_PX, terms, terms)
    right = torch.zeros(MEAN_PX, MEAN_PX, terms, CHANNELS)
    for person in people:
        for view in person.views:
            for flipped in (False, True):
                seen = view.seen.mirrored() if flipped else view.seen
                maps, shares = _maps_of(view.maps, seen, flipped)
                row = pose_terms(seen.turn)[0]
                outer = row[:, None] * row
                left += shares[..., None, None] * outer
                right += row[:, None] * maps.permute(1, 2, 0)[..., None, :]
    ridge = torch.full((terms,), _RIDGE)
    ridge[0] = _LEAST
    left += torch.diag(ridge)
    solved = torch.stack([torch.linalg.solve(part, right) for part in left])
    chosen = (1, 1, 0, 1, 2, 2, 2, 0)
    return torch.stack(
        [solved[share, ..., c].permute(2, 0, 1) for c, share in enumerate(chosen)], 1
    )


def _maps_of(maps: Tensor, seen: Alignment, flipped: bool) -> tuple[Tensor, Tensor]:
    """``[8, m, m]`` maps times their weights, and the three weights ``[3, m, m]``."""
    grid = grid_of(seen.matrix(), MEAN_PX)
    if flipped:
        grid = grid * grid.new_tensor([-1.0, 1.0])
    found = warped(maps[None].float(), grid)[0]
    alpha, face = found[ALPHA], found[FACE]
    place = found[PLACE] / UNIT_CM
    if flipped:
        place = place * place.new_tensor([-1.0, 1.0, 1.0])[:, None, None]
    front = found[FRONT] / UNIT_CM
    thick = found[BACK] / UNIT_CM - front
    own = torch.stack([front * alpha, thick * alpha, alpha, found[WEIGHT] * alpha])
    laid = torch.cat([own, place * face, face[None]])
    return laid, torch.stack([torch.ones_like(alpha), alpha, face])
