"""Alignments: there and back, one after another, and the camera that they tell of."""

from __future__ import annotations

import numpy as np
import torch

from talkcli.engines.splat_portrait.align import FOCAL, SIDE_CM, Alignment


def alignment(x: float, y: float, scale: float, roll: float) -> Alignment:
    return Alignment(
        torch.tensor([[x, y]]), torch.tensor([scale]), torch.tensor([roll]), torch.zeros(1, 2)
    )


def through(matrix: torch.Tensor, point: torch.Tensor) -> np.ndarray:
    return (matrix[0, :, :2] @ point + matrix[0, :, 2]).numpy()


def test_there_and_back() -> None:
    seen = alignment(0.2, -0.1, 1.3, 0.4)
    point = torch.tensor([0.3, 0.7])
    there = torch.from_numpy(through(seen.matrix(), point))
    np.testing.assert_allclose(through(seen.inverse(), there), point.numpy(), atol=1e-6)
    np.testing.assert_allclose(through(seen.matrix(), torch.zeros(2)), [0.2, -0.1], atol=1e-7)


def test_roll_is_clockwise_as_seen() -> None:
    # The top of an upright head, up in the aligned square, lies to the right in its crop.
    x, y = through(alignment(0, 0, 1, 0.3).matrix(), torch.tensor([0.0, -1.0]))
    assert x > 0 > y


def test_one_after_another() -> None:
    first, second = alignment(0.1, 0.2, 0.8, 0.2), alignment(-0.3, 0.1, 1.2, -0.5)
    point = torch.tensor([0.4, -0.6])
    inner = torch.from_numpy(through(second.matrix(), point))
    np.testing.assert_allclose(
        through(first.then(second).matrix(), point), through(first.matrix(), inner), atol=1e-6
    )


def test_camera() -> None:
    seen = alignment(0.5, 0.0, 2.0, 0.0)
    z = float(seen.distance())
    # A square of 44 cm that is seen twice as large as the crop.
    assert np.isclose(SIDE_CM / z * FOCAL, 2.0)
    x, y, distance, focal = seen.camera()[0, :4].tolist()
    assert np.isclose(100 * x / z * FOCAL, 0.25) and y == 0
    assert np.isclose(100 * distance, z) and np.isclose(focal, FOCAL / 2)
