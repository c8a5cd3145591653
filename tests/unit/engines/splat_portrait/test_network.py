"""The network: shapes of every recipe, the mean head without corrections, files of weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from talkcli.config import load_recipe
from talkcli.engines.splat_portrait.align import Alignment
from talkcli.engines.splat_portrait.network import SplatPortraitNet, pose_terms
from talkcli.engines.splat_portrait.unet import NetworkSize
from talkcli.errors import InputError

SMALL = NetworkSize(widths=(8, 16), attention=1, frequencies=2)


def looking(yaw: float = 0.0, pitch: float = 0.0) -> Alignment:
    turn = torch.tensor([[yaw, pitch]])
    return Alignment(torch.zeros(1, 2), torch.ones(1), torch.zeros(1), turn)


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_shapes(patch: int) -> None:
    network = SplatPortraitNet(NetworkSize((8, 16, 24), 2, 2, patch, 3))
    maps = network(torch.rand(1, 3, 64, 64), looking())
    for name, channels in (("front", 1), ("place", 3), ("back", 3), ("spread", 1)):
        assert getattr(maps, name).shape == (1, channels, 64, 64)
    assert (maps.thickness >= 0).all()


@pytest.mark.parametrize("name", ["nano", "base", "paper"])
def test_recipes_make_networks(name: str) -> None:
    wanted = load_recipe(f"splat-portrait-{name}").splat_portrait
    with torch.device("meta"):
        network = SplatPortraitNet(
            NetworkSize(wanted.widths, wanted.blocks, wanted.attention, wanted.patch)
        )
    count = sum(p.numel() for p in network.parameters())
    low, high = {"nano": (8e5, 1.5e6), "base": (1e7, 3e7), "paper": (2e7, 8e7)}[name]
    assert low < count < high


def test_without_corrections_it_is_the_mean_head() -> None:
    torch.manual_seed(0)
    network = SplatPortraitNet(SMALL).eval()
    network.mean.copy_(torch.randn_like(network.mean) * 0.1 + 0.5)
    for values in network.unet.out.parameters():
        torch.nn.init.zeros_(values)
    seen = looking(0.4, -0.2)
    maps = network(torch.rand(1, 3, 64, 64), seen)
    terms = pose_terms(seen.turn)[0]
    depth = 10 * (terms[:, None, None] * network.mean[:, 0]).sum(0)
    # The maps have the mean maps' own size here: bicubic enlarging by one is nothing.
    np.testing.assert_allclose(maps.front[0, 0].detach(), depth, atol=1e-4)


def test_weights_are_kept_in_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SplatPortraitNet(SMALL).eval()
    network.save(tmp_path / "w.safetensors", {"steps": 3})
    loaded = SplatPortraitNet.load(tmp_path / "w.safetensors")
    assert loaded.size == network.size
    for name, value in network.state_dict().items():
        np.testing.assert_allclose(loaded.state_dict()[name], value, rtol=1e-3, atol=1e-6)


def test_wrong_weights_are_told_of(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(InputError, match="train it again"):
        SplatPortraitNet.load(path)
    network = SplatPortraitNet(SMALL)
    network.size = NetworkSize(widths=(8, 24), attention=1, frequencies=2)
    network.save(path, {})
    with pytest.raises(InputError, match="do not fit"):
        SplatPortraitNet.load(path)
    from talkcli.weights.registry import shipped

    with pytest.raises(InputError, match=r"no weights|schema"):
        SplatPortraitNet.load(shipped("face"))
