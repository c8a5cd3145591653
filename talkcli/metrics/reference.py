"""How real people move, measured over real clips, and how far a video is from that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from talkcli.errors import InputError
from talkcli.files.check import read_json
from talkcli.metrics.motion import label_of
from talkcli.metrics.result import Metric
from talkcli.weights.registry import shipped

#: Deviations beyond which a statistic is unlike that of real people: 1 in 20 real ones is.
UNUSUAL = 2.0
#: Largest deviation that is told.
_MOST = 9.9
#: Least deviation of the logarithm: the reference has few people, and rounding is no trait.
_LEAST_SPREAD = 0.10
#: Nothing at all is taken for this share of the usual amount.
_NOTHING = 0.05
_QUANTILES = {"low": 0.1, "median": 0.5, "high": 0.9}
#: Deviations between the 10th and the 90th percentile of a normal distribution.
_BETWEEN = 2.563
SCHEMA = 1


@dataclass(frozen=True)
class Judged:
    """A statistic of a video beside that of real people.

    Attributes:
        name: of the statistic.
        value: of the video; None if it could not be measured.
        low, median, high: 10th, 50th and 90th percentile of real people.
        z: deviations from the median, of the logarithm where all real people are above zero; None
            without a value.
    """

    name: str
    value: float | None
    low: float
    median: float
    high: float
    z: float | None

    @property
    def verdict(self) -> str:
        """``dead``, ``sluggish``, ``restless`` and the like; empty for what real people do."""
        if self.z is None or abs(self.z) < UNUSUAL:
            return ""
        kind = self.name.rpartition("_")[2]
        few, many = _VERDICTS.get(self.name) or _VERDICTS.get(kind) or ("dead", "restless")
        return few if self.z < 0 else many

    def metric(self) -> Metric:
        """The statistic as a row of an evaluation."""
        label, unit = label_of(self.name)
        note = f"real people {self.low:.2g} to {self.high:.2g}"
        if self.z is not None:
            note += f", z {self.z:+.1f}"
        if self.verdict:
            note += f": {self.verdict}"
        return Metric(f"motion_{self.name}", label, self.value, unit, "none", note=note)

    def as_json(self) -> dict[str, Any]:
        """The statistic as JSON values, with the keys documented in docs/cli.md."""
        label, unit = label_of(self.name)
        figures = {
            key: None if value is None else round(value, 4)
            for key, value in (("value", self.value), ("low", self.low), ("median", self.median),
                               ("high", self.high), ("z", self.z))
        }  # fmt: skip
        return {"name": self.name, "label": label, "unit": unit, **figures,
                "verdict": self.verdict}  # fmt: skip


#: What too little and too much of a statistic looks like, by its name or its kind.
_VERDICTS = {
    "amount": ("dead", "restless"),
    "hz": ("sluggish", "trembling"),
    "blink_rate": ("hardly blinks", "blinks nervously"),
    "blink_closing": ("blinks too fast", "blinks too slowly"),
    "blink_opening": ("blinks too fast", "blinks too slowly"),
    "head_speech": ("the head does not follow the speech", "the head nods to every syllable"),
    "shoulders": ("dead", "restless"),
}


def judge_motion(statistics: Mapping[str, float | None]) -> list[Judged]:
    """Put the statistics of a video beside those of real people.

    Args:
        statistics: see :func:`talkcli.metrics.motion.motion_statistics`.
    """
    rows = []
    for name, real in _reference().items():
        value = statistics.get(name)
        z = None if value is None else _deviations(value, real)
        rows.append(Judged(name, value, real["low"], real["median"], real["high"], z))
    return rows


def _deviations(value: float, real: Mapping[str, float]) -> float:
    """How many deviations a value is above the median of real people."""
    marks = np.array([real[name] for name in _QUANTILES])
    least = 0.0
    if marks[0] > 0.0:
        # Amounts of real people spread by factors.
        floor = _NOTHING * real["median"]
        value, marks, least = np.log(value + floor), np.log(marks + floor), _LEAST_SPREAD
    spread = max((marks[2] - marks[0]) / _BETWEEN, least, 1e-9)
    return float(np.clip((value - marks[1]) / spread, -_MOST, _MOST))


def summarise(people: Sequence[Mapping[str, float | None]]) -> dict[str, dict[str, float]]:
    """The reference: percentiles over people of every statistic.

    Args:
        people: statistics of one person each.
    """
    found = {}
    for name in people[0]:
        values = [value for person in people if (value := person.get(name)) is not None]
        marks = {key: round(float(np.quantile(values, at)), 4) for key, at in _QUANTILES.items()}
        found[name] = {"people": len(values), **marks}
    return found


@lru_cache(maxsize=1)
def _reference() -> dict[str, dict[str, float]]:
    path = shipped("motion-reference")
    try:
        document = read_json(path)
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']}")
        return dict(document["statistics"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error})", "reinstall talkcli") from error
