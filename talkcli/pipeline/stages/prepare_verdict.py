"""What a prepared clip is good enough for, and what it misses, in figures and in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from talkcli.layers.clip import FEWEST_FITTED, HELD_OUT
from talkcli.metrics.sync import SyncScore
from talkcli.tracking.clip import Seen
from talkcli.tracking.faults import FrameFaults
from talkcli.tracking.survey import Survey
from talkcli.types import ARKIT_NAMES, MotionCurves

#: Seconds of usable frames for a fit at all, for one that moves well, and of speech from which a
#: fit learns to speak.
_ROUGH_S, _FULL_S, _SPOKEN_S = 2.0, 8.0, 15.0
#: Degrees of yaw from one side to the other, lip opening and lip width, cm, that a fit should see.
_TURN_DEG, _OPENING_CM, _WIDTH_CM = 12.0, 0.7, 0.6
#: Face height, pixels, and sharpness below which details such as teeth are missing.
_FACE_PX, _SHARP = 128, 7.0
#: Grey levels by which a background changes that a still camera sees, at most.
_UNREST = 6.0
#: A blink, as a weight.
_BLINK = 0.6
_BLINKS = [ARKIT_NAMES.index(name) for name in ("eyeBlinkLeft", "eyeBlinkRight")]
#: What each fault is called.
_FAULTS = {
    "lost": "no face",
    "unsure": "face not measured",
    "outside": "face leaves the picture",
    "blurred": "blurred",
    "covered": "face covered",
    "elsewhere": "another scene",
}


@dataclass(frozen=True)
class Evidence:
    """What a verdict is based on.

    Attributes:
        seen: how the face was found.
        cuts: scene cuts in the whole clip.
        part: figures of the segment.
        curves: the performance in it.
        faults: of its frames.
        face_px: usual face height, pixels.
        unrest: of the background, see :class:`talkcli.layers.clean_plate.CleanPlate`.
        sound: whether there is any.
        sync: lips against sound.
        believed: whether its offset is certain enough.
    """

    seen: Seen
    cuts: int
    part: Survey
    curves: MotionCurves
    faults: FrameFaults
    face_px: float
    unrest: float
    sound: bool
    sync: SyncScore
    believed: bool

    @property
    def usable_s(self) -> float:
        """Seconds of usable frames."""
        return float(self.faults.usable.mean() * self.curves.duration_s)

    @property
    def enough(self) -> bool:
        """Whether there are frames enough to fit to, besides those that are held out."""
        return float((1 - HELD_OUT) * self.faults.usable.sum()) >= FEWEST_FITTED

    def spread(self, values: np.ndarray) -> list[float]:
        """Range of a figure over the usable frames, without the outer 2 % on either side."""
        low, high = np.quantile(values[self.faults.usable], (0.02, 0.98))
        return [round(float(low), 2), round(float(high), 2)]


def verdict(evidence: Evidence) -> dict[str, Any]:
    """The verdict as JSON values, see docs/preprocess.md."""
    part, curves, faults = evidence.part, evidence.curves, evidence.faults
    sync = evidence.sync
    return {
        "usable_min": round(evidence.usable_s / 60, 3),
        "unusable": _share(~faults.usable),
        "reasons": {word: _share(getattr(faults, name)) for name, word in _FAULTS.items()},
        "cuts": evidence.cuts,
        "faces_seen": evidence.seen.faces_seen,
        "landmarks": evidence.seen.landmarks,
        "yaw_deg": evidence.spread(curves.rotation[:, 0]),
        "pitch_deg": evidence.spread(curves.rotation[:, 1]),
        "roll_deg": evidence.spread(curves.rotation[:, 2]),
        "lip_opening_cm": evidence.spread(part.mouth[:, 0]),
        "lip_width_cm": evidence.spread(part.mouth[:, 1]),
        "blinks": _blinks(evidence),
        "sharpness": round(float(np.median(part.sharp[faults.usable])), 1),
        "face_px": round(evidence.face_px),
        "background_unrest": round(evidence.unrest, 2),
        "sync_peak": None if sync.peak is None else round(sync.peak, 3),
        "sync_offset_ms": None if sync.offset_ms is None else round(sync.offset_ms, 1),
        "sync_note": sync.note,
        "good_enough_for": list(_good_for(evidence)),
        "missing": list(_missing(evidence)),
    }


def _share(flags: np.ndarray) -> float:
    return round(float(flags.mean()), 4)


def _blinks(evidence: Evidence) -> int:
    shut = (evidence.curves.expression[:, _BLINKS].min(1) > _BLINK) & evidence.faults.usable
    return int((np.diff(shut.astype(np.int8), prepend=0) > 0).sum())


def _width(spread: list[float]) -> float:
    return spread[1] - spread[0]


def _good_for(evidence: Evidence) -> Iterator[str]:
    seconds = evidence.usable_s
    yield "an avatar of its best frame"
    if seconds >= _ROUGH_S and evidence.enough:
        yield "a fitted avatar" if seconds >= _FULL_S else "a rough fit"
    if seconds >= _SPOKEN_S and evidence.believed:
        yield "learning from its speech"
    low, high = evidence.spread(evidence.curves.rotation[:, 0])
    if high - low >= _TURN_DEG:
        yield f"views from {low:+.0f}° to {high:+.0f}°"


def _missing(evidence: Evidence) -> Iterator[str]:
    part, seconds = evidence.part, evidence.usable_s
    if seconds < _FULL_S:
        yield f"length: {seconds:.1f} s are usable, {_FULL_S:.0f} s or more give a good fit"
    elif seconds < _SPOKEN_S and evidence.sound:
        yield f"speech: {seconds:.0f} s are usable, a fit learns from {_SPOKEN_S:.0f} s or more"
    if not evidence.enough:
        yield f"frames: {evidence.faults.usable.sum()} are usable, too few for a fit"
    if not evidence.sound:
        yield "sound: the fit cannot learn how this person speaks"
    elif not evidence.believed:
        reason = evidence.sync.note or "lips and sound do not fit together clearly"
        yield f"synchrony: {reason}, so the sound was left as it is"
    if _width(evidence.spread(evidence.curves.rotation[:, 0])) < _TURN_DEG:
        yield "turns of the head: views from the side will be guessed"
    if _width(evidence.spread(part.mouth[:, 0])) < _OPENING_CM:
        yield "an open mouth: teeth and tongue will be guessed"
    if _width(evidence.spread(part.mouth[:, 1])) < _WIDTH_CM:
        yield "rounded and spread lips"
    if not _blinks(evidence):
        yield "blinks: closed eyes will be guessed"
    if evidence.face_px < _FACE_PX:
        yield f"pixels: the face is {evidence.face_px:.0f} high, {_FACE_PX} or more show teeth"
    if float(np.median(part.sharp[evidence.faults.usable])) < _SHARP:
        yield "sharpness: the face is blurred"
    if evidence.unrest > _UNREST:
        yield "a still background: the camera or things behind the head move"
