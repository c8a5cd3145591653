"""Offsets of splats taken from maps, without the head's own motion."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from talkcli.engines.mggtalk.canonical import SIDE, CanonicalSplats, unrolled
from talkcli.engines.mggtalk.sampling import SplatSampler
from talkcli.face.model import FaceModel


@pytest.fixture(scope="module")
def face() -> CanonicalSplats:
    """A splat on every vertex of the mean face, in turns on both sheets."""
    position = FaceModel.load().vertices.astype(np.float32)
    sheet = np.arange(len(position)) % 2
    return CanonicalSplats(position, unrolled(position), sheet, np.ones(len(position), np.float32))


def test_what_is_sampled_is_the_mean_of_four_cells(face: CanonicalSplats) -> None:
    maps = torch.randn(2, 14, SIDE, SIDE)
    maps[:, 4:7] = 0  # no light of the scene
    found = SplatSampler(face, np.arange(478))(maps)[..., 3:]
    for k in range(0, 478, 9):
        x, y = ((face.place[k] + 1) * SIDE / 2 - 0.5).tolist()
        column, row = int(np.floor(x)), int(np.floor(y))
        right, down = x - column, y - row
        first = 7 * int(face.sheet[k])
        block = maps[:, first + 3 : first + 7, row : row + 2, column : column + 2]
        weights = torch.tensor(
            [[(1 - down) * (1 - right), (1 - down) * right], [down * (1 - right), down * right]]
        )
        wanted = (block * weights).sum((-1, -2))
        torch.testing.assert_close(found[:, k], wanted, atol=1e-4, rtol=1e-4)


def test_the_light_of_the_scene_is_left_out(face: CanonicalSplats) -> None:
    maps = torch.zeros(1, 14, SIDE, SIDE)
    maps[0, [4, 11]] = 0.7
    maps[0, 12] = 0.2
    found = SplatSampler(face, np.arange(478))(maps)[0, :, 4:]
    assert found[:, 0].abs().max() < 1e-5
    # What only the inner sheet has is no light of the scene.
    assert found[face.sheet == 1, 1].min() > 0.19


def test_the_motion_of_the_whole_head_is_left_out(face: CanonicalSplats) -> None:
    maps = torch.zeros(3, 14, SIDE, SIDE)
    maps[0, [0, 7]] = 1.0
    maps[1, [1, 2, 8, 9]] = torch.tensor([0.5, -0.3, 0.5, -0.3])[:, None, None]
    # Growth: up in the upper rows and down in the lower ones, which is no rigid motion alone.
    rows = torch.linspace(1, -1, SIDE)[:, None]
    maps[2, [1, 8]] = rows
    found = SplatSampler(face, np.arange(478))(maps)[..., :3]
    # Single precision, of values of 1.
    assert found[:2].abs().max() < 1e-4
    assert found[2].abs().max() < 0.9
    lips = torch.zeros(1, 14, SIDE, SIDE)
    place = face.place[13]
    row, column = ((place[::-1] + 1) * SIDE / 2).astype(int)
    lips[0, 1, row - 3 : row + 3, column - 5 : column + 5] = 1.0
    shift = SplatSampler(CanonicalSplats(*_one(face, 13)), np.arange(1))(lips)
    # No rigid vertex lies on the lips.
    assert float(shift[0, 0, 1]) == pytest.approx(1.0, abs=0.05)


def _one(face: CanonicalSplats, vertex: int) -> tuple[np.ndarray, ...]:
    part = slice(vertex, vertex + 1)
    return face.position[part], face.place[part], np.zeros(1, int), face.share[part]
