"""The Audio-Plane field: how sound or expression moves and colours each splat.

A splat at ``x`` has, of every scale and pair of axes, the value of a plane at two of its
coordinates, times that of a line at the third, times a code that the frame's driver picks from a
codebook by cross-attention: ``f_a = softmax(Q Aᵀ / √d) A``. One small network makes of these
features what changes about the splat, another how dynamic it is, 0 to 1, and the change counts that
much. Trained twin of :class:`talkcli.engines.audio_plane.played.PlayedPlanes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkcli.engines.audio_plane import interpolate
from talkcli.engines.audio_plane.interpolate import (
    CHANNELS,
    FEATURES,
    LINE_CELLS,
    PAIRS,
    PLANE_CELLS,
    SCALES,
    TABLES,
    Join,
)
from talkcli.shapes import Float, Float32

#: Entries of the codebook of a scale and pair.
ENTRIES = 64
#: First values: random planes carry detail of every scale, lines near 1 let them through. With
#: planes near 1, too, the held-out mouth of two clips was .5 dB worse.
_PLANE_SPREAD, _LINE_SPREAD = 0.7, 0.3
#: Entries and queries are this large at first, or every query would pick the mean of all entries.
_ENTRY_SPREAD, _QUERY_GAIN = 2.0, 1.5
#: Widths of the two small networks.
DEFORM_WIDTH, DYNAMIC_WIDTH = 48, 16


@dataclass(frozen=True)
class PlaneSettings:
    """The form of a field.

    Attributes:
        join: of the features of a scale over its three pairs; scales are always concatenated.
        attention: whether the code is picked from the codebook; else a network gives it directly.
        dynamic: whether a dynamism is learnt; else every splat counts as fully dynamic.
        hidden: width of the network that makes the query.
        dropout: share of the driver's features that each step hides.
    """

    join: Join = "concatenate"
    attention: bool = True
    dynamic: bool = True
    hidden: int = 64
    dropout: float = 0.1

    @property
    def joined(self) -> int:
        """Number of features after joining."""
        return FEATURES if self.join == "concatenate" else FEATURES // PAIRS


class PlaneField(nn.Module):
    """Changes of splats by a driver; without any effect at first.

    Args:
        places: ``[M, 3]`` of the splats at rest; any unit.
        inputs: number of the driver's features.
        settings: its form.
    """

    places: Tensor

    def __init__(
        self, places: Float[np.ndarray, "M 3"], inputs: int, settings: PlaneSettings
    ) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("places", torch.from_numpy(unit_places(places)), persistent=False)
        self.planes = nn.Parameter(_PLANE_SPREAD * torch.randn(PAIRS, PLANE_CELLS, CHANNELS))
        self.lines = nn.Parameter(1 + _LINE_SPREAD * torch.randn(PAIRS, LINE_CELLS, CHANNELS))
        self.drop = nn.Dropout(settings.dropout)
        self.hidden = nn.Linear(inputs, settings.hidden)
        self.query = nn.Linear(settings.hidden, FEATURES)
        if settings.attention:
            self.books = nn.Parameter(_ENTRY_SPREAD * torch.randn(TABLES, ENTRIES, CHANNELS))
            with torch.no_grad():
                self.query.weight *= _QUERY_GAIN
        self.deform = _perceptron(settings.joined, DEFORM_WIDTH, 7)
        nn.init.zeros_(self.deform[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.deform[-1].bias)  # type: ignore[arg-type]
        if settings.dynamic:
            self.dynamism = _perceptron(settings.joined, DYNAMIC_WIDTH, 1)

    def code(self, driver: Float[Tensor, " K"]) -> Float[Tensor, " C"]:
        """``[192]`` the code of a frame, of scale, pair and channel."""
        query = self.query(torch.relu(self.hidden(self.drop(driver))))
        if not self.settings.attention:
            return torch.as_tensor(query)
        query = query.view(TABLES, 1, CHANNELS)
        shares = torch.softmax(query @ self.books.transpose(1, 2) / CHANNELS**0.5, -1)
        return (shares @ self.books).reshape(-1)

    def forward(
        self, driver: Float[Tensor, " K"]
    ) -> tuple[Float[Tensor, "M 7"], Float[Tensor, " M"]]:
        """``[M, 7]`` changes, and ``[M]`` the dynamism that they count with, in a frame.

        Args:
            driver: ``[K]`` the frame's features, of about unit size.
        """
        found = plane_features(self.planes, self.lines, self.code(driver), self.places)
        joined = _joined(found, self.settings.join)
        change = self.deform(joined)
        if not self.settings.dynamic:
            return change, torch.ones_like(change[:, 0])
        return change, torch.sigmoid(self.dynamism(joined)[:, 0])


def unit_places(places: Float[np.ndarray, "M 3"]) -> Float32[np.ndarray, "M 3"]:
    """``[M, 3]`` places scaled so that their box reaches from 0 to 1 along each axis."""
    low, high = places.min(0), places.max(0)
    scaled = (places - low) / np.maximum(high - low, 1e-6)
    return np.clip(scaled, 0, 1).astype(np.float32)


def plane_features(
    planes: Float[Tensor, "3 P 16"],
    lines: Float[Tensor, "3 L 16"],
    code: Float[Tensor, " C"],
    places: Float[Tensor, "M 3"],
) -> Float[Tensor, "M C"]:
    """``[M, 192]`` planes times lines times code at places, differentiable in the first three.

    Args:
        planes: ``[3, 5440, 16]``, laid out as for
            :func:`talkcli.engines.audio_plane.interpolate.read_features`.
        lines: ``[3, 120, 16]``.
        code: ``[192]``.
        places: ``[M, 3]``, 0 to 1.
    """
    if planes.is_cuda:
        return reference_features(planes, lines, code, places)
    found: Tensor = _Features.apply(planes, lines, code, places)
    return found


def reference_features(
    planes: Float[Tensor, "3 P 16"],
    lines: Float[Tensor, "3 L 16"],
    code: Float[Tensor, " C"],
    places: Float[Tensor, "M 3"],
) -> Float[Tensor, "M C"]:
    """The same as :func:`plane_features`, by torch alone: the readable definition."""
    found = []
    grid = 2 * places - 1
    codes = code.view(len(SCALES), PAIRS, CHANNELS)
    cells = planes.split([size * size for size in SCALES], 1)
    steps = lines.split(list(SCALES), 1)
    pairs = ((0, 1, 2), (0, 2, 1), (1, 2, 0))
    for scale, (size, cell, step) in enumerate(zip(SCALES, cells, steps, strict=True)):
        for pair, (column, row, along) in enumerate(pairs):
            plane = cell[pair].view(1, size, size, CHANNELS).permute(0, 3, 1, 2)
            line = step[pair].view(1, size, 1, CHANNELS).permute(0, 3, 1, 2)
            on_line = torch.stack([torch.zeros_like(grid[:, along]), grid[:, along]], -1)
            value = _sampled(plane, grid[:, [column, row]]) * _sampled(line, on_line)
            found.append(value * codes[scale, pair])
    return torch.cat(found, 1)


def _sampled(table: Tensor, grid: Tensor) -> Tensor:
    """``[M, 16]`` a table of one picture at points from -1 to 1."""
    return F.grid_sample(table, grid[None, :, None], align_corners=True)[0, :, :, 0].T


class _Features(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, planes: Tensor, lines: Tensor, code: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(planes, lines, code, places)
        arrays = (t.detach().numpy() for t in (planes, lines, code, places))
        return torch.from_numpy(interpolate.read_features(*arrays))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        arrays = (t.detach().numpy() for t in (*ctx.saved_tensors, gradient))
        slopes = interpolate.feature_gradients(*arrays)
        to_planes, to_lines, to_code = (torch.from_numpy(slope) for slope in slopes)
        return to_planes, to_lines, to_code, None


def _joined(features: Tensor, join: Join) -> Tensor:
    if join == "concatenate":
        return features
    parts = features.view(-1, len(SCALES), PAIRS, CHANNELS)
    return (parts.sum(2) if join == "add" else parts.prod(2)).flatten(1)


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
