"""Gradients of a drawing with respect to a network's maps, through our renderer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from talkcli.engines.splat_portrait.align import Alignment
from talkcli.engines.splat_portrait.network import HeadMaps
from talkcli.engines.splat_portrait.splats import draw, head_splats

SIDE = 24
SEEN = Alignment(torch.zeros(1, 2), torch.ones(1), torch.zeros(1), torch.zeros(1, 2))


def bowl() -> dict[str, torch.Tensor]:
    """The maps of half a ball, tilted: splats of one depth would change places by rounding."""
    torch.manual_seed(0)
    line = torch.linspace(-1, 1, SIDE)
    y, x = torch.meshgrid(line, line, indexing="ij")
    away = (x**2 + y**2)[None, None]
    return {
        "front": 8 * away - 6 + 1.3 * x + 0.71 * y,
        "thickness": (12 - 10 * away).clamp_min(0.5),
        "alpha": 8 * (0.7 - away),
        "weight": torch.full_like(away, 3.0),
        "place": torch.zeros(1, 3, SIDE, SIDE),
        "face": torch.zeros_like(away),
        "back": torch.rand(1, 3, SIDE, SIDE),
        "change": torch.zeros(1, 3, SIDE, SIDE),
        "spread": torch.zeros_like(away),
    }


def figure(maps: dict[str, torch.Tensor]) -> torch.Tensor:
    """Moments of a drawing from the side: smooth where splats pass before each other."""
    line = torch.linspace(0.2, 0.8, SIDE)
    colors = torch.stack([line.expand(SIDE, SIDE), line[:, None].expand(SIDE, SIDE)] * 2)[None, :3]
    splats = head_splats(HeadMaps(**maps), colors, SEEN)
    turned = splats.turned(torch.tensor([0.0, 0.4, 0.0]), torch.tensor([0.0, 0.0, 95.0]))
    across = torch.linspace(-1, 1, 32)
    drawn = draw(turned, 32)
    return (drawn * across).sum() + (drawn * across[:, None]).sum() + 0.3 * drawn.sum()


@pytest.mark.parametrize("name", ["front", "thickness", "alpha", "change", "back", "weight"])
def test_gradients(name: str) -> None:
    maps = bowl()
    maps[name].requires_grad_(True)
    (gradient,) = torch.autograd.grad(figure(maps), maps[name])
    assert torch.isfinite(gradient).all() and gradient.abs().max() > 0
    # Along a smooth change of the whole map: single pixels are lost in rounding.
    way = torch.linspace(-1, 1, SIDE).expand_as(maps[name]) + 0.5
    # Where coverage passes .4, splats of the last surface come and go as wholes.
    way = way * (maps["alpha"].detach() > 1) if name == "alpha" else way
    step = 0.05
    with torch.no_grad():
        up = figure({**maps, name: maps[name] + step * way})
        down = figure({**maps, name: maps[name] - step * way})
    measured = float(up - down) / (2 * step)
    # Splats that enter or leave (alpha below 1/255) step, a few per cent.
    assert float((gradient * way).sum()) == pytest.approx(measured, rel=0.1, abs=0.05)


def test_a_turn_of_nothing_is_nothing() -> None:
    maps, colors = HeadMaps(**bowl()), torch.rand(1, 3, SIDE, SIDE)
    splats = head_splats(maps, colors, SEEN)
    still = splats.turned(torch.zeros(3), torch.tensor([0.0, 0.0, 90.0]))
    # Rounding of a subtraction and an addition of 90 cm.
    np.testing.assert_allclose(still.means, splats.means, atol=2e-5)
