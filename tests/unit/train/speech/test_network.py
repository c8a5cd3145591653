"""The trained network computes what its stream computes, and forgets."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from talkcli.speech.network import Layout, NetworkStream
from talkcli.train.speech.network import LipNet, RunningNorm
from tests.support.memory import held_bytes
from tests.support.speech_training import SMALL


@pytest.mark.parametrize("layout", [SMALL, Layout()])
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 17, 161])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_stream_computes_what_was_trained(layout: Layout, frames: int, size: int) -> None:
    torch.manual_seed(0)
    net = LipNet(layout, 15).eval()
    features = torch.randn(1, frames, 80)
    wanted = net(features)[0].detach().numpy()
    stream = NetworkStream(net.export(), layout)
    values = features[0].numpy()
    parts = [stream.push(values[k : k + size]) for k in range(0, frames, size)]
    found = np.concatenate([*parts, stream.finish()])
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_stream_forgets() -> None:
    stream = NetworkStream(LipNet(Layout(), 15).export(), Layout())
    values = np.random.default_rng(0).normal(size=(100, 80)).astype(np.float32)
    sizes = [held_bytes(stream)]
    for _ in range(30):
        stream.push(values)
        sizes.append(held_bytes(stream))
    assert len(set(sizes[3:])) == 1
    # Columns that the layers look back to, beside the weights; 100 frames of features are 32 KB.
    assert sizes[-1] - sizes[0] < 10_000


def test_running_norm_gets_over_a_louder_room() -> None:
    """A step in the level of the input is forgotten within some time constants."""
    torch.manual_seed(0)
    norm = RunningNorm(16, 20.0)
    steady = torch.randn(1, 400, 16)
    louder = 3.0 * steady + 5.0
    first, second = norm(steady), norm(torch.cat([steady, louder], 1))[:, 400:]
    assert (second[:, :5] - first[:, :5]).abs().mean() > 0.5
    assert (second[:, 200:] - first[:, 200:]).abs().max() < 0.05
