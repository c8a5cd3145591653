"""Layers of the networks: residual blocks with FiLM, attention, sinusoids."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from talkcli.shapes import Float

#: Channels per group of the normalisations.
GROUP = 8


def sinusoids(values: Float[Tensor, "B n"], octaves: int) -> Float[Tensor, "B m"]:
    """``[B, n (1 + 2 octaves)]`` numbers, and sines and cosines of them times π 2^k / 8.

    Splat-Portrait codes the camera's translation and focal length with nine octaves.

    Args:
        values: ``[B, n]``, of the order of 1.
        octaves: how many.
    """
    waves = values[..., None] * (math.pi / 8 * 2.0 ** torch.arange(octaves, device=values.device))
    return torch.cat([values, waves.sin().flatten(1), waves.cos().flatten(1)], 1)


class Film(nn.Module):
    """Scale and shift of features by a condition (Perez et al., "FiLM", 2018).

    Args:
        channels: of the features.
        width: of the condition.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, 2 * channels)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(
        self, features: Float[Tensor, "B C H W"], condition: Float[Tensor, "B D"]
    ) -> Float[Tensor, "B C H W"]:
        """``(1 + scale) · features + shift``, both from the condition."""
        scale, shift = self.project(condition)[..., None, None].chunk(2, 1)
        return features * (1 + scale) + shift


class Residual(nn.Module):
    """Two convolutions, the second after FiLM, beside a straight way; begins as the straight way.

    Args:
        inputs: channels before.
        outputs: channels after.
        width: of the condition.
    """

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(max(1, inputs // GROUP), inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = nn.GroupNorm(max(1, outputs // GROUP), outputs)
        self.film = Film(outputs, width)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.straight = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        nn.init.zeros_(self.conv2.weight)

    def forward(
        self, features: Float[Tensor, "B C H W"], condition: Float[Tensor, "B D"]
    ) -> Float[Tensor, "B K H W"]:
        """``[B, outputs, H, W]``."""
        inner = self.conv1(functional.silu(self.norm1(features)))
        inner = functional.silu(self.film(self.norm2(inner), condition))
        out: Tensor = self.straight(features) + self.conv2(inner)
        return out


class Attention(nn.Module):
    """Every pixel attends to all others, with four heads; begins as nothing.

    Args:
        channels: of the features, a multiple of four.
    """

    heads = 4

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(max(1, channels // GROUP), channels)
        self.project = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, features: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Features plus ``softmax(Q Kᵀ / √d) V``."""
        batch, channels, height, width = features.shape
        split = self.project(self.norm(features)).reshape(
            batch, 3, self.heads, channels // self.heads, height * width
        )
        query, key, value = split.transpose(-1, -2).unbind(1)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = features + self.out(mixed.transpose(-1, -2).reshape(features.shape))
        return out
