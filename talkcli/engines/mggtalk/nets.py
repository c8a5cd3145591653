"""The decoder's networks: from a source's maps to offset shapes, from a motion to their shares.

The linearised form of MGGTalk's Gaussian decoder: its offsets are a sum of K shapes, so that a
frame costs a mixture and no network over the face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from talkcli.engines.audio_plane.offsets import CHANNEL_UNITS, FEATURES, MOST_UNUSUAL
from talkcli.engines.mggtalk.canonical import INNER_SHEET, MAP_CHANNELS, SHEETS, SIDE, SKIN_SHEET
from talkcli.shapes import Float

#: Shift, logarithm of size, colour.
CHANNELS = 7
#: Of the features, expressions count. Head rotation and gaze were worth .1 dB in frames like those
#: of the training and cost a held-out speaker who tilts her head 1 dB: what they change is light,
#: which comes from another side in every picture.
_USED = 52


@dataclass(frozen=True)
class DecoderSize:
    """How large a decoder is.

    Attributes:
        shapes: number of offset shapes.
        hidden: width of the network that mixes them.
        widths: channels of the U-Net at a half, a quarter, … of the maps' resolution; none for
            shapes that are the same for all people.
        shades: whether the skin changes size and colour, too, and not only its place. It made
            frames like those of the training .2 dB better, and reenacted clips .3 dB worse.
        inside: whether eyes, teeth, tongue and the mouth's inside change. It gained up to 1 dB in
            the mouth, and looked torn: teeth of both jaws and the tongue share the map's cells.
    """

    shapes: int = 16
    hidden: int = 64
    widths: tuple[int, ...] = (24, 48, 64, 96)
    shades: bool = False
    inside: bool = False


class _Block(nn.Module):
    """Two convolutions with a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.norm = nn.GroupNorm(8, outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.short = nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.silu(self.norm(self.first(x)))
        return functional.silu(self.second(inner) + self.short(x))


class MapNetwork(nn.Module):
    """A U-Net from the source's maps to what sets its offset shapes apart from everyone's.

    Args:
        outputs: channels of the result.
        widths: channels at a half, a quarter, … of the resolution.
    """

    def __init__(self, outputs: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        inputs = (MAP_CHANNELS, *widths[:-1])
        self.down = nn.ModuleList(_Block(a, b, 2) for a, b in zip(inputs, widths, strict=True))
        pairs = list(zip(widths[1:], widths[:-1], strict=True))[::-1]
        self.up = nn.ModuleList(_Block(a + b, b) for a, b in pairs)
        self.last = nn.Conv2d(widths[0], outputs, 1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(
        self, maps: Float[Tensor, "B channels side side"]
    ) -> Float[Tensor, "B outputs half half"]:
        """``[B, outputs, 64, 64]`` from ``[B, 20, 128, 128]``."""
        levels = []
        x = maps
        for block in self.down:
            x = block(x)
            levels.append(x)
        for block, level in zip(self.up, levels[-2::-1], strict=True):
            larger = functional.interpolate(x, scale_factor=2.0, mode="bilinear")
            x = block(torch.cat([larger, level], 1))
        found: Tensor = self.last(x)
        return found


class OffsetDecoder(nn.Module):
    """Offset shapes on the mean face, and their shares in a frame. It begins without any effect.

    Args:
        size: its size.
        mean: ``[57]`` of the features over the training's frames.
        scale: ``[57]`` their spread.
        dropout: share of the features hidden in each step.
    """

    mean: Tensor
    scale: Tensor
    units: Tensor
    used: Tensor
    kept: Tensor

    def __init__(
        self,
        size: DecoderSize,
        mean: Float[Tensor, " 57"],
        scale: Float[Tensor, " 57"],
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("mean", mean.float().clone())
        self.register_buffer("scale", scale.float().clone())
        self.register_buffer("units", torch.from_numpy(CHANNEL_UNITS), persistent=False)
        used = (torch.arange(FEATURES) < _USED).float()
        self.register_buffer("used", used, persistent=False)
        kept = torch.ones(SHEETS * CHANNELS, 1, 1)
        if not size.shades:
            kept[SKIN_SHEET * CHANNELS + 3 : (SKIN_SHEET + 1) * CHANNELS] = 0
        if not size.inside:
            kept[INNER_SHEET * CHANNELS :] = 0
        self.register_buffer("kept", kept, persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(FEATURES, size.hidden)
        self.mix = nn.Linear(size.hidden, size.shapes)
        channels = SHEETS * CHANNELS
        self.common = nn.Parameter(torch.zeros(size.shapes, channels, SIDE, SIDE))
        self.network = MapNetwork(size.shapes * channels, size.widths) if size.widths else None

    def shares(self, features: Float[Tensor, "B 57"]) -> Float[Tensor, "B K"]:
        """``[B, K]`` the share of each shape in some frames."""
        x = ((features - self.mean) / self.scale).clamp(-MOST_UNUSUAL, MOST_UNUSUAL)
        found: Tensor = self.mix(torch.relu(self.hidden(self.dropout(x * self.used))))
        return found

    def own(self, maps: Float[Tensor, "channels side side"]) -> Float[Tensor, "K C h w"] | None:
        """``[K, 14, 64, 64]`` what a source adds to the shapes of all; None without a network."""
        if self.network is None:
            return None
        found: Tensor = self.network(maps[None])[0]
        return found.view(self.size.shapes, SHEETS * CHANNELS, *found.shape[1:])

    def soften(self, cells: float) -> None:
        """Blur the shapes of all by so many cells of the map: rough ones draw lines into lips."""
        reach = int(np.ceil(3 * cells))
        away = torch.arange(-reach, reach + 1, dtype=torch.float32)
        window = torch.exp(-0.5 * (away / cells) ** 2)
        window = (window / window.sum()).view(1, 1, -1)
        with torch.no_grad():
            rows = self.common.reshape(-1, 1, SIDE)
            for _ in range(2):
                padded = functional.pad(rows, (reach, reach), mode="replicate")
                blurred = functional.conv1d(padded, window).view(-1, SIDE, SIDE)
                rows = blurred.transpose(1, 2).reshape(-1, 1, SIDE)
            self.common.copy_(rows.view_as(self.common))

    def mixed(
        self, shares: Float[Tensor, "B K"], own: Float[Tensor, "K C h w"] | None
    ) -> Float[Tensor, "B C side side"]:
        """``[B, 14, 128, 128]`` the offsets of some frames on the mean face, channels' units.

        Args:
            shares: from :meth:`shares`, or rows of a unit matrix for single shapes.
            own: from :meth:`own`.
        """
        total = (shares @ self.common.flatten(1)).view(-1, *self.common.shape[1:])
        if own is not None:
            coarse = (shares @ own.flatten(1)).view(-1, *own.shape[1:])
            total = total + functional.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear")
        return total * self.kept
