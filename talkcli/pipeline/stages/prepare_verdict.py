"""What a prepared clip is good enough for, and what it misses, in figures and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from talkcli.metrics.sync import SyncScore
from talkcli.pipeline.stages.prepare_frames import FramePlan
from talkcli.tracking.survey import Survey
from talkcli.types import MotionCurves


@dataclass(frozen=True)
class Evidence:
    """What a verdict is based on.

    Attributes:
        whole: figures of the whole clip.
        part: figures of the segment.
        curves: the performance in it.
        plan: which frames are usable and stored.
        sync: lips against sound.
        believed: whether its offset is certain enough.
    """

    whole: Survey
    part: Survey
    curves: MotionCurves
    plan: FramePlan
    sync: SyncScore
    believed: bool


def verdict(evidence: Evidence, unrest: float) -> dict[str, Any]:
    """The verdict as JSON values.

    Args:
        evidence: what is known of the clip.
        unrest: of the background, see :class:`talkcli.layers.clean_plate.CleanPlate`.
    """
    part, usable = evidence.part, evidence.plan.usable
    seconds = float(usable.mean() * evidence.curves.duration_s)
    return {
        "usable_s": round(seconds, 2),
        "unusable": _share(~usable),
        "reasons": {
            "no face": _share(~evidence.part.found),
            "not measured": _share(part.found & ~evidence.curves.tracked),
            "face leaves the picture": _share(part.found & ~part.inside),
            "blurred": _share(part.found & ~part.clear),
        },
        "cuts": int(evidence.whole.cut[1:].sum()),
        "yaw_deg": _range(part.angles[usable, 0]),
        "pitch_deg": _range(part.angles[usable, 1]),
        "roll_deg": _range(part.angles[usable, 2]),
        "lip_opening_cm": _range(part.mouth[usable, 0]),
        "lip_width_cm": _range(part.mouth[usable, 1]),
        "sharpness": round(float(np.median(part.sharp[usable])), 1),
        "face_px": round(evidence.plan.face_px),
        "background_unrest": round(unrest, 2),
        "sync_peak": None if evidence.sync.peak is None else round(evidence.sync.peak, 3),
    }


def _share(flags: np.ndarray) -> float:
    return round(float(flags.mean()), 4)


def _range(values: np.ndarray) -> list[float]:
    low, high = np.quantile(values, (0.02, 0.98))
    return [round(float(low), 2), round(float(high), 2)]
