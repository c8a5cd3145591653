"""What a video must not be, put into figures that each have a limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from talkcli.metrics.faults import FrameFaults
from talkcli.metrics.observed import Observed
from talkcli.metrics.series import runs
from talkcli.metrics.sync import SyncScore, sync_score
from talkcli.shapes import Float

Status = Literal["ok", "failed", "unknown", "unchecked"]

#: An offset is judged if it is this certain: short or noisy lips could be anywhere.
_CERTAIN = 0.8
#: Frames in silence below which nothing is said about it.
_FEWEST = 10
#: Seconds at the edges of a silence in which lips still close and already open.
_CLOSING_S = 0.25
#: Time between frames at which jitter is told, seconds.
_STEP_S = 0.04
#: Lips within this share of their widest, for this many frames in a row, are stuck.
_WIDEST, _STUCK_FRAMES = 0.98, 4
#: Lips that open less than this have no widest, cm.
_LEAST_CM = 0.2


@dataclass(frozen=True)
class Check:
    """One fault that a video could have.

    Attributes:
        name: a setting of ``qc`` in the recipe.
        label: the same in words.
        value: what was measured; None if it could not be, and then ``note`` says why.
        unit: of value and limit.
        least: whether the value must be at least the limit; else at most.
        worst_s: where it is worst, seconds from the start; None if that means nothing.
        note: what a reader has to know.
        limit: the threshold; -1 if the fault is not checked.
    """

    name: str
    label: str
    value: float | None
    unit: str
    least: bool = False
    worst_s: float | None = None
    note: str = ""
    limit: float = -1.0

    @property
    def status(self) -> Status:
        """``ok``, ``failed``, ``unknown`` (not measured) or ``unchecked`` (no limit)."""
        if self.limit < 0:
            return "unchecked"
        if self.value is None:
            return "unknown"
        size = abs(self.value)
        return "ok" if (size >= self.limit if self.least else size <= self.limit) else "failed"

    def as_json(self) -> dict[str, Any]:
        """The check as JSON values, with the keys documented in docs/cli.md."""
        return {
            "name": self.name,
            "label": self.label,
            "value": None if self.value is None else round(self.value, 3),
            "unit": self.unit,
            "limit": None if self.limit < 0 else self.limit,
            "status": self.status,
            "worst_s": None if self.worst_s is None else round(self.worst_s, 3),
            "note": self.note,
        }


def quality_checks(
    observed: Observed, faults: FrameFaults, limits: Mapping[str, float]
) -> list[Check]:
    """Judge a video.

    Args:
        observed: what can be seen and heard in it.
        faults: what was measured in every frame.
        limits: threshold of every check by name.
    """
    times = observed.times
    # Motion between frames that are further apart is no jitter.
    step = float(np.median(np.diff(times))) if len(times) > 1 else _STEP_S
    jitter = faults.jitter / max(1.0, step / _STEP_S) ** 2
    rows = [
        *_sync(sync_score(observed)),
        _silence(observed),
        _mean("jitter", "jitter of the landmarks", jitter, times, "%/frame²"),
        _mean("flicker", "flicker beside the head", faults.flicker, times, "levels"),
        _mean("seam", "flicker at the head's outline", faults.seam, times, "levels"),
        _mean("holes", "spots in the skin", faults.holes, times, "%"),
        _mean("mouth_cut", "frames with the mouth cut off", 100.0 * faults.cut, times, "%"),
        _stuck(observed),
        _mean("face_lost", "frames without a face", 100.0 * faults.lost, times, "%"),
    ]
    return [replace(row, limit=limits[row.name]) for row in rows]


def _sync(score: SyncScore) -> list[Check]:
    offset, note = score.offset_ms, score.note
    if score.confidence is not None and score.confidence < _CERTAIN:
        note = f"{offset:+.0f} ms, but only {score.confidence:.0%} certain"
        offset = None
    return [
        Check("sync_offset_ms", "lips later than the sound", offset, "ms", note=note),
        Check("sync_peak", "lips follow the sound, r", score.peak, "", True, note=score.note),
    ]


def _silence(observed: Observed) -> Check:
    name, label = "silence_motion", "lip motion in silence"
    if observed.heard is None:
        return Check(name, label, None, "cm/s", note="the video has no sound")
    # Silent before and after, too: lips take a while to close.
    silent = np.ones(len(observed.times), bool)
    for shift in (-_CLOSING_S, 0.0, _CLOSING_S):
        silent &= observed.heard.silent_at(np.maximum(observed.times + shift, 0.0))
    there = silent[1:] & silent[:-1] & observed.tracked[1:] & observed.tracked[:-1]
    if there.sum() < _FEWEST:
        return Check(name, label, None, "cm/s", note="the sound has no long pause")
    speed = np.abs(np.diff(observed.aperture)) / np.maximum(np.diff(observed.times), 1e-3)
    worst = int(np.where(there, speed, -1.0).argmax())
    value = float(np.sqrt((speed[there] ** 2).mean()))
    return Check(name, label, value, "cm/s", worst_s=float(observed.times[worst + 1]))


def _stuck(observed: Observed) -> Check:
    name, label = "mouth_stuck", "lips stuck at their widest"
    lips = observed.aperture[observed.tracked]
    times = observed.times[observed.tracked]
    if len(lips) < _FEWEST or np.ptp(lips) < _LEAST_CM:
        return Check(name, label, None, "%", note="the lips hardly open")
    # A single frame may be an outlier; a plateau is not.
    rest = float(np.quantile(lips, 0.1))
    wide = lips > rest + _WIDEST * (float(np.quantile(lips, 0.999)) - rest)
    stuck = [(a, b) for a, b in runs(wide) if b - a >= _STUCK_FRAMES]
    frames = sum(b - a for a, b in stuck)
    worst = max(stuck, key=lambda run: run[1] - run[0], default=None)
    at = None if worst is None else float(times[worst[0]])
    return Check(name, label, 100.0 * frames / len(lips), "%", worst_s=at)


def _mean(
    name: str,
    label: str,
    values: Float[np.ndarray, " n"],
    times: Float[np.ndarray, " n"],
    unit: str,
) -> Check:
    there = np.isfinite(values)
    if not there.any():
        return Check(name, label, None, unit, note="no frame shows it")
    mean = float(values[there].mean())
    worst = int(np.where(there, values, -np.inf).argmax())
    return Check(name, label, mean, unit, worst_s=float(times[worst]) if mean > 0 else None)
