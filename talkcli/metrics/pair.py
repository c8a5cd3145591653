"""What a metric that looks at pictures is given: the same instant, made and real."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import cv2
import numpy as np

from talkcli.metrics.result import Metric
from talkcli.shapes import Bool, Float, Float32, UInt8


@dataclass(frozen=True)
class FramePair:
    """Two pictures of one instant, in the pixels of the real one.

    Attributes:
        index: number of the pair, from 0.
        time_s: middle of the frame's display in the made video.
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

    @cached_property
    def made_luma(self) -> Float32[np.ndarray, "H W"]:
        """``[H, W]`` luma of BT.601, 0–255."""
        return cv2.cvtColor(self.made, cv2.COLOR_RGB2GRAY).astype(np.float32)

    @cached_property
    def real_luma(self) -> Float32[np.ndarray, "H W"]:
        """``[H, W]`` luma of BT.601, 0–255."""
        return cv2.cvtColor(self.real, cv2.COLOR_RGB2GRAY).astype(np.float32)


@runtime_checkable
class PairMetric(Protocol):
    """A metric that sees every pair once, in order; memory must not grow with their number."""

    def add(self, pair: FramePair) -> None:
        """Look at the next pair; it may be kept for a few frames."""

    def finish(self) -> list[Metric]:
        """The figures, after the last pair."""
