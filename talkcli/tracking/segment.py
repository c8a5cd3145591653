"""The stretch of a clip that shows one person best, without a cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from talkcli.errors import InputError, UsageError
from talkcli.tracking.survey import Survey

#: Longest stretch that is chosen, seconds: more shows little that is new, and costs time.
LONGEST_S = 240.0
#: Shortest stretch that a range on the command line may name, seconds.
_SHORTEST_S = 0.1
_STEP_S = 2.0  # between the starts of the stretches that are compared
#: Spread of pose (degrees) and lip opening (cm) at which a stretch shows all that is needed.
_FULL_TURN_DEG, _FULL_OPENING_CM = 8.0, 0.5
#: Share of the value of a stretch that its variety makes up.
_VARIETY = 0.4


def parse_segment(text: str) -> tuple[float, float] | None:
    """Start and end in seconds of ``START-END``; None for ``auto``.

    Raises:
        UsageError: neither of these.
    """
    if text == "auto":
        return None
    start, dash, end = text.partition("-")
    try:
        first, last = _seconds(start or "0"), _seconds(end)
    except ValueError:
        dash = ""
    if not dash or last < first + _SHORTEST_S:
        raise UsageError(
            f"--segment takes 'auto' or START-END in seconds, not {text!r}",
            "write for example --segment 12-40.5 or --segment 0:12-1:05",
        )
    return first, last


def _seconds(text: str) -> float:
    """Seconds of ``75.5`` or ``1:15.5``."""
    parts = text.strip().split(":")
    if len(parts) > 3 or not all(part.replace(".", "", 1).isdecimal() for part in parts):
        raise ValueError(text)
    total = 0.0
    for part in parts:
        total = 60.0 * total + float(part)
    return total


def choose_segment(survey: Survey, wanted: tuple[float, float] | None) -> tuple[int, int]:
    """The frames to use: first and end.

    Without a wish it is the whole clip if it is short and has no cuts, else the stretch between two
    cuts that shows the face best: for long, sharply, with a moving head and mouth.

    Args:
        survey: figures of every frame.
        wanted: start and end, seconds; None to choose.

    Raises:
        InputError: the clip ends before the wanted segment begins, or it shows no face there.
    """
    if wanted is None:
        return _best_stretch(survey)
    first, end = np.searchsorted(survey.times, wanted)
    if end <= first:
        raise InputError(
            f"the clip has no frame between {wanted[0]:g} and {wanted[1]:g} s: it ends at "
            f"{survey.times[-1]:.1f} s",
            "choose an earlier --segment",
        )
    if not survey.found[first:end].any():
        raise InputError(
            f"no face was found between {wanted[0]:g} and {wanted[1]:g} s",
            "choose another --segment, or --segment auto",
        )
    return int(first), int(end)


def _best_stretch(survey: Survey) -> tuple[int, int]:
    edges = [0, *np.flatnonzero(survey.cut[1:]) + 1, len(survey)]
    best, most = (0, len(survey)), -1.0
    for first, end in pairwise(int(edge) for edge in edges):
        for start, stop in _stretches(survey.times, first, end):
            value = _value(survey.part(start, stop))
            if value > most:
                best, most = (start, stop), value
    return best


def _stretches(times: np.ndarray, first: int, end: int) -> list[tuple[int, int]]:
    """Stretches of a shot that are not too long: all of it, or pieces that overlap."""
    if times[end - 1] - times[first] <= LONGEST_S:
        return [(first, end)]
    starts = np.arange(times[first], times[end - 1] - LONGEST_S + _STEP_S, _STEP_S)
    lows = np.searchsorted(times, starts).clip(first, end - 1)
    highs = np.searchsorted(times, starts + LONGEST_S).clip(first + 1, end)
    return [(int(low), int(high)) for low, high in zip(lows, highs, strict=True)]


def _value(part: Survey) -> float:
    """Seconds of good frames, worth more where they are sharp, large and varied."""
    good = part.good
    if not good.any():
        return 0.0
    step = float(np.median(np.diff(part.times))) if len(part) > 1 else 0.04
    turn = float(part.angles[good, :2].std(0).sum()) / _FULL_TURN_DEG
    opening = float(np.ptp(np.quantile(part.mouth[good, 0], (0.05, 0.95)))) / _FULL_OPENING_CM
    variety = 0.5 * (min(1.0, turn) + min(1.0, opening))
    detail = float(np.median(part.sharp[good])) * min(
        1.0, float(np.median(part.height[good])) / 256
    )
    # Two minutes of a face are not twice as good as one.
    seconds = np.log1p(good.sum() * step / 10.0)
    return float(seconds * (1.0 - _VARIETY + _VARIETY * variety) * detail**0.5)
