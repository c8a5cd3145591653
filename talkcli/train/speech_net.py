"""The network that hears lips, as it is trained.

``talkcli.motion.speech_net`` runs the same layers on a stream without torch; the layout of both is
in :class:`talkcli.motion.speech_net.Layout`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from talkcli.motion.features import N_MELS
from talkcli.motion.speech_net import HEADS, SUBFRAMES, Layout


class ContextConv(nn.Module):
    """A convolution over time that sees ``right`` frames ahead; zeros lie beyond both ends."""

    def __init__(self, channels: tuple[int, int], kernel: int, right: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(*channels, kernel, stride=stride)
        self.padding = (kernel - 1 - right, right)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, T, C]`` to ``[B, ceil(T / stride), C']``."""
        return self.conv(functional.pad(x.transpose(1, 2), self.padding)).transpose(1, 2)


class Block(nn.Module):
    """Depth-wise convolution over time, then a small perceptron over channels, with a shortcut."""

    def __init__(self, width: int, kernel: int, dilation: int, right: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.depth = nn.Conv1d(width, width, kernel, dilation=dilation, groups=width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)
        self.padding = ((kernel - 1) * dilation - right, right)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, T, C]`` to the same."""
        y = functional.pad(self.norm(x).transpose(1, 2), self.padding)
        y = self.depth(y).transpose(1, 2)
        return x + self.dropout(self.down(functional.silu(self.up(y))))


class LipNet(nn.Module):
    """Features at 100 Hz to shapes, closure and voice at 50 Hz.

    Args:
        layout: sizes.
        shapes: number of expression shapes.
        dropout: in training.
    """

    def __init__(self, layout: Layout, shapes: int, dropout: float = 0.15) -> None:
        super().__init__()
        width = layout.width
        self.layout = layout
        self.shapes = shapes
        self.first = ContextConv((N_MELS, width), layout.stem_kernel, layout.stem_right, 2)
        self.first_norm = nn.LayerNorm(width)
        self.second = ContextConv((width, width), layout.stem_kernel, layout.stem_right, 2)
        self.second_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(width, layout.kernel, dilation, right, dropout)
            for dilation, right in zip(layout.dilations, layout.rights, strict=True)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, SUBFRAMES * (shapes + len(HEADS)))

    def hidden(self, features: torch.Tensor) -> torch.Tensor:
        """``[B, T, 80]`` to ``[B, ceil(T / 4), width]``."""
        x = functional.silu(self.first_norm(self.first(features)))
        x = self.dropout(functional.silu(self.second_norm(self.second(x))))
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """``[B, T, 80]`` to ``[B, 2 ceil(T / 4), shapes + 2]``: weights, then logits."""
        y = self.out(self.hidden(features))
        return y.reshape(len(y), -1, self.shapes + len(HEADS))

    def export(self) -> dict[str, np.ndarray]:
        """Weights in the names and axes of the streaming network."""
        tensors: dict[str, np.ndarray] = {}
        state = {key: value.detach().numpy() for key, value in self.state_dict().items()}
        for key, value in state.items():
            if value.ndim == 3:
                value = value.transpose(2, 1, 0)  # [k, in, out]; depth-wise [k, 1, C]
            elif value.ndim == 2:
                value = value.T
            tensors[key.replace(".conv.", ".")] = np.ascontiguousarray(value, np.float32)
        return tensors
