"""The Audio-Plane field as it is played: without torch, on the splats alone that it moves.

What planes and lines give a splat never changes, so it is read once; per frame remain the code and
two small networks, whose first layers take the code into their weights. The twin that is trained is
:class:`talkcli.engines.audio_plane.planes.PlaneField`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from talkcli.engines.audio_plane.apply import add_offsets
from talkcli.engines.audio_plane.driver import DriverBasis
from talkcli.engines.audio_plane.interpolate import (
    CHANNELS,
    FEATURES,
    PAIRS,
    SCALES,
    TABLES,
    Join,
    read_features,
)
from talkcli.engines.audio_plane.offsets import CHANNEL_UNITS, DrivenOffsets
from talkcli.engines.portrait.splats import renumbered
from talkcli.shapes import Float, Float32, Integer
from talkcli.types import MotionFrame

_BY_PAIR = (len(SCALES), PAIRS, CHANNELS)


@dataclass(frozen=True)
class PlaneTables:
    """What a field has learnt.

    Attributes:
        planes: see :func:`talkcli.engines.audio_plane.interpolate.read_features`.
        lines: likewise.
        hidden_weight: ``[H, K]`` of the query's network, followed by a rectifier.
        hidden_bias: ``[H]``.
        query_weight: ``[192, H]``.
        query_bias: ``[192]``.
        deform_in: ``[48, J]`` of the network that gives changes, from J joined features, followed
            by a rectifier.
        deform_in_bias: ``[48]``.
        deform_out: ``[7, 48]``.
        deform_out_bias: ``[7]``.
        books: ``[12, 64, 16]`` codebooks; None where the query is the code.
        dynamic_in: ``[16, J]`` of the network that gives the dynamism; None without one.
        dynamic_in_bias: ``[16]``.
        dynamic_out: ``[1, 16]``.
        dynamic_out_bias: ``[1]``.
    """

    planes: Float32[np.ndarray, "3 P 16"]
    lines: Float32[np.ndarray, "3 L 16"]
    hidden_weight: Float32[np.ndarray, "H K"]
    hidden_bias: Float32[np.ndarray, " H"]
    query_weight: Float32[np.ndarray, "C H"]
    query_bias: Float32[np.ndarray, " C"]
    deform_in: Float32[np.ndarray, "W J"]
    deform_in_bias: Float32[np.ndarray, " W"]
    deform_out: Float32[np.ndarray, "7 W"]
    deform_out_bias: Float32[np.ndarray, " 7"]
    books: Float32[np.ndarray, "T E 16"] | None = None
    dynamic_in: Float32[np.ndarray, "V J"] | None = None
    dynamic_in_bias: Float32[np.ndarray, " V"] | None = None
    dynamic_out: Float32[np.ndarray, "1 V"] | None = None
    dynamic_out_bias: Float32[np.ndarray, " 1"] | None = None

    def code(self, driver: Float32[np.ndarray, " K"]) -> Float32[np.ndarray, " C"]:
        """``[192]`` the code of a frame.

        Args:
            driver: ``[K]`` from :class:`talkcli.engines.audio_plane.driver.DriverBasis`.
        """
        hidden = np.maximum(self.hidden_weight @ driver + self.hidden_bias, 0)
        query = self.query_weight @ hidden + self.query_bias
        if self.books is None:
            return np.asarray(query, np.float32)
        scores = np.einsum("tec,tc->te", self.books, query.reshape(TABLES, CHANNELS))
        scores = np.exp((scores - scores.max(1, keepdims=True)) / CHANNELS**0.5)
        shares = scores / scores.sum(1, keepdims=True)
        return np.asarray(np.einsum("te,tec->tc", shares, self.books).reshape(-1), np.float32)


@dataclass(frozen=True)
class PlayedPlanes:
    """Changes of some splats by the field.

    Implements :class:`talkcli.engines.portrait.correction.Correction`.

    Attributes:
        index: ``[m]`` int32 the splats, rising.
        places: ``[m, 3]`` of these in the box of all, 0 to 1.
        fade: ``[m]`` how much of the change each of them takes.
        driver: what makes a motion the field's input.
        tables: what the field has learnt.
        join: of the features of a scale over its three pairs.
    """

    index: Integer[np.ndarray, " m"]
    places: Float32[np.ndarray, "m 3"]
    fade: Float32[np.ndarray, " m"]
    driver: DriverBasis
    tables: PlaneTables
    join: Join = "concatenate"

    def offsets(self, motion: MotionFrame) -> Float32[np.ndarray, "m 7"]:
        """``[m, 7]`` the changes in a frame: cm, logarithm of size, colour."""
        tables, code = self.tables, self.tables.code(self.driver.features(motion))
        columns, weight, bias = self._first_layer
        if self.join == "multiply":
            code = code.reshape(_BY_PAIR).prod(1).reshape(-1)
        hidden = np.maximum((weight * code) @ columns + bias, 0)
        width = len(tables.deform_in)
        change = tables.deform_out @ hidden[:width] + tables.deform_out_bias[:, None]
        share = self.fade
        if tables.dynamic_out is not None and tables.dynamic_out_bias is not None:
            dynamic = tables.dynamic_out @ hidden[width:] + tables.dynamic_out_bias[:, None]
            share = share / (1 + np.exp(-np.clip(dynamic[0], -60, 60)))
        return np.ascontiguousarray((change * share).T * CHANNEL_UNITS, np.float32)

    def apply(
        self,
        motion: MotionFrame,
        positions: Float[np.ndarray, "N 3"],
        spread: Float[np.ndarray, " N"],
        colors: Float[np.ndarray, "N 3"],
    ) -> None:
        """See :class:`talkcli.engines.portrait.correction.Correction`."""
        add_offsets(self.index, self.offsets(motion), positions, spread, colors)

    def part(self, order: Integer[np.ndarray, " M"]) -> PlayedPlanes:
        """See :class:`talkcli.engines.portrait.correction.Correction`."""
        kept, index = renumbered(self.index, order)
        return replace(self, index=index, places=self.places[kept], fade=self.fade[kept])

    @cached_property
    def _first_layer(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features before the code ``[F, m]``, and both networks' first weights and biases."""
        tables = self.tables
        ones = np.ones(FEATURES, np.float32)
        features = read_features(tables.planes, tables.lines, ones, self.places)
        weight, bias = tables.deform_in, tables.deform_in_bias
        if tables.dynamic_in is not None and tables.dynamic_in_bias is not None:
            weight = np.concatenate([weight, tables.dynamic_in])
            bias = np.concatenate([bias, tables.dynamic_in_bias])
        if self.join == "add":
            own = weight.reshape(len(weight), -1, 1, CHANNELS)
            weight = np.tile(own, (1, 1, PAIRS, 1)).reshape(len(weight), -1)
        elif self.join == "multiply":
            features = features.reshape(-1, *_BY_PAIR).prod(2).reshape(len(features), -1)
        return np.ascontiguousarray(features.T), weight, bias[:, None]


@dataclass(frozen=True)
class OffsetsAndPlanes:
    """Both corrections, one after the other.

    Attributes:
        offsets: shapes that the expression mixes.
        planes: the field.
    """

    offsets: DrivenOffsets
    planes: PlayedPlanes

    @cached_property
    def index(self) -> Integer[np.ndarray, " m"]:
        """``[m]`` the splats that either changes, rising."""
        return np.union1d(self.offsets.index, self.planes.index)

    def apply(
        self,
        motion: MotionFrame,
        positions: Float[np.ndarray, "N 3"],
        spread: Float[np.ndarray, " N"],
        colors: Float[np.ndarray, "N 3"],
    ) -> None:
        """See :class:`talkcli.engines.portrait.correction.Correction`."""
        self.offsets.apply(motion, positions, spread, colors)
        self.planes.apply(motion, positions, spread, colors)

    def part(self, order: Integer[np.ndarray, " M"]) -> OffsetsAndPlanes:
        """See :class:`talkcli.engines.portrait.correction.Correction`."""
        return OffsetsAndPlanes(self.offsets.part(order), self.planes.part(order))
