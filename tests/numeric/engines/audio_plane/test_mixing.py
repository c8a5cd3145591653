"""The kernel that mixes offset shapes does what numpy does."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli import runtime
from talkcli.engines.audio_plane.mixing import add_mixed, in_blocks


@pytest.mark.parametrize("moved", [1, 16, 1000, 5003])
def test_as_the_readable_twin(moved: int) -> None:
    random = np.random.default_rng(moved)
    shapes = random.normal(0, 0.05, (16, moved, 7)).astype(np.float32)
    shares = random.normal(size=16).astype(np.float32)
    index = np.sort(random.choice(6000, moved, replace=False)).astype(np.int32)
    outputs = tuple(random.random(size).astype(np.float32) for size in ((6000, 3), 6000, (6000, 3)))
    positions, spread, colors = (array.copy() for array in outputs)
    offsets = np.einsum("k,kmc->mc", shares, shapes)
    positions[index] += offsets[:, :3]
    spread[index] *= np.exp(2 * offsets[:, 3])
    colors[index] += offsets[:, 4:]
    add_mixed(shares, in_blocks(shapes), index, outputs)
    np.testing.assert_allclose(outputs[0], positions, atol=1e-6)
    # The series of the exponential.
    np.testing.assert_allclose(outputs[1], spread, rtol=2e-4)
    np.testing.assert_allclose(outputs[2], colors, atol=1e-6)


def test_the_same_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    shapes = random.normal(0, 0.05, (8, 5003, 7)).astype(np.float32)
    shares, index = random.normal(size=8).astype(np.float32), np.arange(5003, dtype=np.int32)
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(runtime, "thread_count", lambda threads=threads: threads)
        outputs = tuple(np.ones(size, np.float32) for size in ((5003, 3), 5003, (5003, 3)))
        add_mixed(shares, in_blocks(shapes), index, outputs)
        found.append(outputs)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_huge_sizes_stay_finite() -> None:
    shapes = np.zeros((1, 16, 7), np.float32)
    shapes[0, :, 3] = np.linspace(-50, 50, 16)
    outputs = tuple(np.ones(size, np.float32) for size in ((16, 3), 16, (16, 3)))
    add_mixed(np.ones(1, np.float32), in_blocks(shapes), np.arange(16, dtype=np.int32), outputs)
    assert np.isfinite(outputs[1]).all() and outputs[1].max() < 60
