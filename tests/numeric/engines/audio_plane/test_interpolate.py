"""The kernels of the Audio-Plane field against its readable definition in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from talkcli.engines.audio_plane.interpolate import (
    CHANNELS,
    FEATURES,
    LINE_CELLS,
    PAIRS,
    PLANE_CELLS,
)
from talkcli.engines.audio_plane.planes import plane_features, reference_features

#: Single precision: a feature is a product of three sums of up to four terms of size 1 …
_FORWARD = 2e-5
#: … and a gradient sums up to two thousand of them.
_BACKWARD = 1e-3


def _tables() -> list[torch.Tensor]:
    torch.manual_seed(3)
    shapes = ((PAIRS, PLANE_CELLS, CHANNELS), (PAIRS, LINE_CELLS, CHANNELS), (FEATURES,))
    return [torch.randn(shape, requires_grad=True) for shape in shapes]


def _places(count: int) -> torch.Tensor:
    inside = torch.rand(count, 3)
    # Edges and corners of the box, where the next cell would lie outside.
    corners = torch.tensor([[0.0, 0, 0], [1, 1, 1], [0, 1, 0.5], [1, 0, 1], [1 / 63, 62 / 63, 0]])
    return torch.cat([inside, corners])


@pytest.mark.parametrize("count", [1, 2000])
def test_features_are_those_of_grid_sample(count: int) -> None:
    tables, places = _tables(), _places(count)
    found, wanted = plane_features(*tables, places), reference_features(*tables, places)
    assert found.shape == (len(places), FEATURES)
    torch.testing.assert_close(found, wanted, atol=_FORWARD, rtol=_FORWARD)


def test_gradients_are_those_of_grid_sample() -> None:
    tables, places = _tables(), _places(2000)
    towards = torch.randn(len(places), FEATURES)
    slopes = []
    for of in (plane_features, reference_features):
        (of(*tables, places) * towards).sum().backward()
        slopes.append([table.grad for table in tables])
        for table in tables:
            table.grad = None
    for found, wanted in zip(*slopes, strict=True):
        assert found is not None and wanted is not None and found.abs().max() > 1
        torch.testing.assert_close(found, wanted, atol=_BACKWARD, rtol=1e-4)


def test_the_same_gradients_every_time() -> None:
    """Threads share the tables, not the places: sums come in one order."""
    tables, places = _tables(), _places(1500)
    slopes = []
    for _ in range(2):
        plane_features(*tables, places).square().sum().backward()
        slopes.append([np.array(table.grad) for table in tables])
        for table in tables:
            table.grad = None
    for first, second in zip(*slopes, strict=True):
        np.testing.assert_array_equal(first, second)
