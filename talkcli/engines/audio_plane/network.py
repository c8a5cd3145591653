"""What a fit trains: offset shapes of splats, and the network that mixes them."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor, nn

from talkcli.engines.audio_plane.offsets import CHANNEL_UNITS, FEATURES, MOST_UNUSUAL, Mixer
from talkcli.shapes import Float

#: Standard deviation below which a feature counts as constant.
_LEAST_SPREAD = 0.03


class OffsetBasis(nn.Module):
    """Linear offset shapes of ``splats`` splats, mixed by a network of the frame's features.

    Trained twin of :class:`talkcli.engines.audio_plane.offsets.DrivenOffsets`. It begins without
    any effect.

    Args:
        splats: number of splats that it may move.
        features: ``[n, 57]`` of the frames it is trained on, for their mean and spread.
        shapes: number of shapes.
        hidden: width of the network.
        dropout: share of the features that are hidden from it in each step.
    """

    mean: Tensor
    scale: Tensor
    units: Tensor

    def __init__(
        self,
        splats: int,
        features: Float[np.ndarray, "n 57"],
        *,
        shapes: int = 16,
        hidden: int = 64,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(features.mean(0).astype(np.float32)))
        spread = features.std(0) + _LEAST_SPREAD
        self.register_buffer("scale", torch.from_numpy(spread.astype(np.float32)))
        self.register_buffer("units", torch.from_numpy(CHANNEL_UNITS), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(FEATURES, hidden)
        with warnings.catch_warnings():
            # Without shapes there is nothing to draw first values for.
            warnings.simplefilter("ignore")
            self.mix = nn.Linear(hidden, shapes)
        self.shapes = nn.Parameter(torch.zeros(shapes, splats * 7))

    def __len__(self) -> int:
        return self.shapes.shape[1] // 7

    def forward(self, features: Float[Tensor, " 57"]) -> Float[Tensor, "splats 7"]:
        """``[splats, 7]`` offsets in a frame, in the channels' units."""
        x = ((features - self.mean) / self.scale).clamp(-MOST_UNUSUAL, MOST_UNUSUAL)
        shares = self.mix(torch.relu(self.hidden(self.dropout(x))))
        return (shares @ self.shapes).view(len(self), 7)

    def mixer(self) -> Mixer:
        """The network as it is played."""
        arrays = (
            self.mean, self.scale, self.hidden.weight, self.hidden.bias, self.mix.weight,
            self.mix.bias,
        )  # fmt: skip
        return Mixer(*(array.detach().cpu().numpy().copy() for array in arrays))

    def played_shapes(self) -> Float[np.ndarray, "K splats 7"]:
        """``[K, splats, 7]`` the shapes as they are played."""
        shapes = self.shapes.detach().cpu().numpy()
        return shapes.reshape(len(shapes), len(self), 7) * CHANNEL_UNITS
