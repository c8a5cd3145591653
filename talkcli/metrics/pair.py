"""What a metric that looks at pictures is given: the same instant, made and real."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from talkcli.metrics.result import Metric
from talkcli.shapes import Bool, Float, UInt8


@dataclass(frozen=True)
class FramePair:
    """Two pictures of one instant, in the pixels of the real one.

    Attributes:
        index: number of the pair, from 0.
        time_s: middle of the real frame's display.
        made: ``[H, W, 3]`` uint8 sRGB, the picture that is judged.
        real: ``[H, W, 3]`` uint8 sRGB, the picture that it should be.
        made_points: ``[478, 3]`` landmarks in ``made``, pixels, or None without a face.
        real_points: ``[478, 3]`` landmarks in ``real``, or None.
        regions: ``[H, W]`` mask of ``face`` and ``head``, from the real landmarks; empty without
            a face. ``frame`` is the whole picture and is not listed.
    """

    index: int
    time_s: float
    made: UInt8[np.ndarray, "H W 3"]
    real: UInt8[np.ndarray, "H W 3"]
    made_points: Float[np.ndarray, "478 3"] | None
    real_points: Float[np.ndarray, "478 3"] | None
    regions: dict[str, Bool[np.ndarray, "H W"]]


class PairMetric(Protocol):
    """A metric that sees every pair once, in order; memory must not grow with their number."""

    def add(self, pair: FramePair) -> None:
        """Look at the next pair; its arrays may be reused after the call."""

    def finish(self) -> list[Metric]:
        """The figures, after the last pair."""
