"""One figure of an evaluation, with all that is needed to read it."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from talkcli.shapes import Float

#: Where a figure is at its best: as high or as low as it gets, at 1 (a ratio to the real clip) or
#: at 0 (a signed difference); ``none`` if it only describes.
Better = Literal["higher", "lower", "one", "zero", "none"]


@dataclass(frozen=True)
class Metric:
    """One figure of an evaluation.

    Attributes:
        name: key in JSON and CSV, unique in an evaluation: ``psnr_face``.
        label: the same in words, for tables.
        value: the figure; None if it could not be measured, and then ``note`` says why.
        unit: ``dB``, ``%``, ``ms``; empty for plain numbers.
        better: where it is at its best.
        region: part of the picture that it is about: ``face``, ``head`` or ``frame``; empty if it
            is not about pixels.
        frames: ``[n]`` value in each of the compared frames, NaN where there is none; None if the
            figure is not a mean over frames.
        note: what a reader has to know, or what to install: ``needs weights: talkcli models pull
            lpips-alex``.
    """

    name: str
    label: str
    value: float | None
    unit: str = ""
    better: Better = "none"
    region: str = ""
    frames: Float[np.ndarray, " n"] | None = field(default=None, compare=False, repr=False)
    note: str = ""

    def with_note(self, note: str) -> Metric:
        """The same figure with another note."""
        return replace(self, note=note)

    def as_json(self) -> dict[str, Any]:
        """The figure without its values per frame, as JSON values."""
        value = self.value if self.value is None or math.isfinite(self.value) else None
        return {
            "name": self.name,
            "label": self.label,
            "value": None if value is None else round(float(value), 5),
            "unit": self.unit,
            "better": self.better,
            "region": self.region,
            "note": self.note,
        }


def shown(value: float | None) -> str:
    """A value as tables show it: four digits, "–" if there is none."""
    if value is None:
        return "–"
    return "0" if abs(value) < 5e-5 else f"{value:.4g}"


def mean_of(values: Sequence[float] | np.ndarray) -> float | None:
    """Mean of the values that are finite numbers, or None if there is none."""
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    return float(finite.mean()) if len(finite) else None


class FrameValues:
    """The values of one figure, frame by frame, eight bytes each.

    Args:
        name: see :class:`Metric`.
        label: see :class:`Metric`.
        unit: see :class:`Metric`.
        better: see :class:`Metric`.
        region: see :class:`Metric`.
    """

    def __init__(
        self, name: str, label: str, unit: str = "", better: Better = "none", region: str = ""
    ) -> None:
        self._metric = Metric(name, label, None, unit, better, region)
        self._values = array("d")

    @classmethod
    def of(cls, row: Metric) -> FrameValues:
        """The values of a figure whose row is known."""
        return cls(row.name, row.label, row.unit, row.better, row.region)

    def add(self, value: float | None) -> None:
        """Add the value of the next frame; None where there is none."""
        self._values.append(math.nan if value is None else value)

    def metric(self, why_not: str = "") -> Metric:
        """The mean over the frames that have a value.

        Args:
            why_not: the note if no frame has one.
        """
        frames = np.array(self._values)
        value = mean_of(frames)
        note = why_not if value is None else self._metric.note
        return replace(self._metric, value=value, frames=frames, note=note)
