"""What maps of the mean face say about single splats.

The head's own motion is none of the decoder's business: it comes from whoever drives the avatar,
and what a training could learn about it are the habits of its tracking. So the rigid motion, and
the growth, that the shifts amount to on the face's rigid vertices are taken out of every splat's.
Nor is the light of the scene: the mean change of colour there is taken out as well.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from talkcli.engines.mggtalk.canonical import SHEETS, SKIN_SHEET, CanonicalSplats, unrolled
from talkcli.engines.mggtalk.nets import CHANNELS
from talkcli.face.model import FaceModel
from talkcli.face.topology import RIGID
from talkcli.shapes import Float, Integer

#: Half the size of a face, centimetres: turns and growth weigh as shifts do there.
_SIZE_CM = 6.0


class SplatSampler:
    """Takes the offsets of some splats from maps.

    Args:
        splats: all splats of a head on the mean face.
        index: ``[M]`` the numbers of those whose offsets are wanted.
    """

    def __init__(self, splats: CanonicalSplats, index: Integer[np.ndarray, " M"]) -> None:
        self.sheet = torch.from_numpy(splats.sheet[index])
        self.place = torch.from_numpy(splats.place[index])
        rigid = FaceModel.load().vertices[list(RIGID)].astype(np.float64)
        self._centre = rigid.mean(0)
        self._rigid_place = torch.from_numpy(unrolled(rigid))
        self._motion = torch.from_numpy(np.linalg.pinv(self._motions(rigid)).astype(np.float32))
        ways = self._motions(splats.position[index].astype(np.float64))
        self._ways = torch.from_numpy(ways.astype(np.float32))

    def __len__(self) -> int:
        return len(self.place)

    def __call__(self, maps: Float[Tensor, "B C side side"]) -> Float[Tensor, "B M 7"]:
        """``[B, M, 7]`` offsets of the splats, in the channels' units.

        Args:
            maps: ``[B, 14, 128, 128]``, the channels of one sheet after the other.
        """
        found = maps.new_zeros(len(maps), len(self), CHANNELS)
        for number in range(SHEETS):
            index = torch.nonzero(self.sheet == number)[:, 0]
            taken = _taken(maps, number, self.place[index])
            found = found.index_copy(1, index, taken)
        rigid = _taken(maps, SKIN_SHEET, self._rigid_place)
        motion = rigid[..., :3].flatten(1) @ self._motion.T
        carried = (motion @ self._ways.T).view(len(maps), len(self), 3)
        exposure = rigid[..., 4:].mean(1, keepdim=True)
        return torch.cat([found[..., :3] - carried, found[..., 3:4], found[..., 4:] - exposure], 2)

    def _motions(self, positions: np.ndarray) -> np.ndarray:
        """``[3 n, 7]`` how positions move with a unit of each shift, turn, and of growth."""
        away = (positions - self._centre) / _SIZE_CM
        turns = [np.cross(axis, away) for axis in np.eye(3)]
        shifts = [np.broadcast_to(axis, away.shape) for axis in np.eye(3)]
        return np.stack([*shifts, *turns, away], 2).reshape(-1, 7)


def _taken(
    maps: Float[Tensor, "B C side side"], sheet: int, place: Float[Tensor, "n 2"]
) -> Float[Tensor, "B n 7"]:
    """``[B, n, 7]`` what one sheet of the maps holds, between its cells."""
    grid = place[None, :, None].expand(len(maps), -1, -1, -1)
    part = maps[:, sheet * CHANNELS : (sheet + 1) * CHANNELS]
    found = functional.grid_sample(part, grid, align_corners=False, padding_mode="border")
    return found[..., 0].transpose(1, 2)
