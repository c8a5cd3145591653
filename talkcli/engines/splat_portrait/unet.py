"""The networks: one that finds the head, one that gives its maps.

The second is a U-Net after Splatter Image and Splat-Portrait: attention at the lowest levels, FiLM
by the camera. It works on squares of pixels, a quarter of the picture's resolution, and its last
layers bring its maps back to that of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from talkcli.engines.splat_portrait.align import Alignment
from talkcli.engines.splat_portrait.layers import GROUP, Attention, Residual, sinusoids
from talkcli.shapes import Float

#: Side of the picture that finds the head, and of that whose pixels become splats.
LOOK_PX, MAP_PX = 64, 128
#: Width of the condition, and of the layers at half the picture's resolution.
_CONDITION, _HALF = 64, 16
#: What the U-Net gives per pixel beyond the mean maps: colour of the back 3, residual of the
#: source's colour 3, logarithm of the splat's scale.
_OWN_CHANNELS = 7


@dataclass(frozen=True)
class NetworkSize:
    """Size of the networks; see :class:`talkcli.sections.SplatPortraitConfig`."""

    widths: tuple[int, ...] = (32, 64, 112)
    blocks: int = 1
    attention: int = 2
    patch: int = 4
    frequencies: int = 9


class PoseNet(nn.Module):
    """Where the head is in a picture of 64², and how it is turned.

    Squares of 4 x 4 pixels, convolutions at 16² and 8², and two layers that see all of the 8²
    places: where something is can be read off linearly.
    """

    def __init__(self) -> None:
        super().__init__()
        width = 32
        self.convs = nn.ModuleList(
            nn.Conv2d(inputs, width, 3, padding=1) for inputs in (48, *[width] * 4)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(width // GROUP, width) for _ in self.convs)
        self.reduce = nn.Conv2d(width, 16, 1)
        self.hidden = nn.Linear(16 * (LOOK_PX // 8) ** 2, 96)
        self.out = nn.Linear(96, 6)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, picture: Float[Tensor, "B 3 h w"]) -> Alignment:
        """Find the head.

        Args:
            picture: ``[B, 3, 64, 64]``, 0–1.
        """
        features = functional.pixel_unshuffle(picture * 2 - 1, 4)
        for level, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            found = functional.silu(norm(conv(features)))
            features = found if level in (0, 2) else features + found
            if level == 1:
                features = functional.avg_pool2d(features, 2)
        seen = functional.silu(self.hidden(self.reduce(features).flatten(1)))
        given = self.out(seen)
        return Alignment(given[:, :2], given[:, 2].exp(), given[:, 3], given[:, 4:])


class UNet(nn.Module):
    """From an aligned picture and mean maps to corrections of these, and the splats' own values.

    Args:
        size: size of the network.
        maps: number of mean maps.
    """

    def __init__(self, size: NetworkSize, maps: int) -> None:
        super().__init__()
        widths, self.size, self.maps = size.widths, size, maps
        levels = range(len(widths))
        coded = 6 * (1 + 2 * size.frequencies)
        self.condition = nn.Sequential(nn.Linear(coded, _CONDITION), nn.SiLU())
        self.inputs = nn.Conv2d(3 * size.patch**2 + maps + 2, widths[0], 3, padding=1)
        attends = [level >= len(widths) - size.attention for level in levels]
        self.down = nn.ModuleList(
            self._level(widths[max(level - 1, 0)], widths[level], attends[level])
            for level in levels
        )
        self.middle = self._level(widths[-1], widths[-1], bool(size.attention))
        self.up = nn.ModuleList(
            self._level(widths[level] + widths[level + 1], widths[level], attends[level])
            for level in levels[:-1]
        )
        shuffled = max(size.patch // 2, 1)
        self.coarse = nn.Conv2d(widths[0], _HALF * shuffled**2, 1)
        self.fine = nn.Conv2d(12, _HALF, 3, padding=1)
        self.head = nn.Conv2d(2 * _HALF, 2 * _HALF, 3, padding=1)
        self.out = nn.Conv2d(2 * _HALF, 4 * (maps + _OWN_CHANNELS), 1)
        with torch.no_grad():
            self.out.weight *= 0.1
        nn.init.constant_(self.out.bias, 0)  # type: ignore[arg-type]

    def _level(self, inputs: int, outputs: int, attends: bool) -> nn.ModuleList:
        parts: list[nn.Module] = []
        for block in range(self.size.blocks):
            parts.append(Residual(outputs if block else inputs, outputs, _CONDITION))
        if attends:
            parts.append(Attention(outputs))
        return nn.ModuleList(parts)

    def forward(
        self,
        picture: Float[Tensor, "B 3 M M"],
        mean: Float[Tensor, "B C m m"],
        camera: Float[Tensor, "B 6"],
    ) -> tuple[Float[Tensor, "B C M M"], Float[Tensor, "B 7 M M"]]:
        """Corrections ``[B, maps, M, M]`` of the mean maps, and ``[B, 7, M, M]`` own values.

        Args:
            picture: ``[B, 3, M, M]`` aligned, 0–1.
            mean: ``[B, maps, m, m]`` mean maps at any resolution.
            camera: ``[B, 6]`` from :meth:`Alignment.camera`.
        """
        code = self.condition(sinusoids(camera, self.size.frequencies))
        side = picture.shape[-1] // self.size.patch
        shown = picture * 2 - 1
        small = functional.interpolate(mean, size=(side, side), mode="bilinear", antialias=True)
        features = self.inputs(
            torch.cat([functional.pixel_unshuffle(shown, self.size.patch), small, _place(small)], 1)
        )
        kept = []
        for level, parts in enumerate(self.down):
            if level:
                features = functional.avg_pool2d(features, 2)
            features = _through(parts, features, code)
            kept.append(features)
        features = _through(self.middle, features, code)
        for level in reversed(range(len(self.up))):
            larger = functional.interpolate(features, scale_factor=2.0)
            features = _through(self.up[level], torch.cat([larger, kept[level]], 1), code)
        half = self.coarse(functional.silu(features))
        half = functional.pixel_shuffle(half, max(self.size.patch // 2, 1))
        if self.size.patch == 1:
            half = functional.avg_pool2d(half, 2)
        fine = self.fine(functional.pixel_unshuffle(shown, 2))
        given = self.out(functional.silu(self.head(functional.silu(torch.cat([half, fine], 1)))))
        given = functional.pixel_shuffle(given, 2).float()
        return given[:, : self.maps], given[:, self.maps :]


def _through(parts: nn.Module, features: Tensor, code: Tensor) -> Tensor:
    for part in parts.children():
        features = part(features, code) if isinstance(part, Residual) else part(features)
    return features


def _place(like: Tensor) -> Tensor:
    """``[B, 2, m, m]`` x and y, -1 to 1."""
    line = torch.linspace(-1, 1, like.shape[-1], device=like.device)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y]).expand(len(like), -1, -1, -1)
