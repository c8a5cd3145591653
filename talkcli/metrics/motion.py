"""How a person moves: amplitude and spectrum of head, face and gaze, blinks, and speech rhythm.

Amplitudes are deviations within ten seconds, so that the length of a video does not count. The
spectrum is summed up by its root mean square frequency: the deviation of the speed over that of
the position, in Hz. A slow sway has a low one, a tremor a high one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from talkcli.metrics.observed import HEARD_HZ, Observed
from talkcli.metrics.series import runs
from talkcli.shapes import Float
from talkcli.types import ARKIT_NAMES

#: Everything is compared at this many frames per second: speeds of single frames depend on it.
RATE_HZ = 25.0
#: Length of the pieces in which deviations are taken, and of the shortest piece, seconds.
_PIECE_S, _SHORTEST_S = 10.0, 4.0
#: A piece counts if the face was measured in this share of it.
_TRACKED = 0.8
#: Seconds of video below which there is no blink rate, and no coherence.
_BLINKS_S, _COHERENCE_S = 10.0, 8.0
#: Lids closed this far have blinked; and the levels, of the peak, between which a closure is timed.
_BLINK, _LOW, _HIGH = 0.6, 0.2, 0.8
#: Longest closing of a blink; slower ones are sleepy looks down, seconds.
_LONGEST_S = 0.6
#: Rhythm of speech and of the head's answer to it, Hz, and the length of the pieces of Welch's
#: method, seconds.
_RHYTHM_HZ, _WELCH_S = (0.5, 3.0), 4.0
#: How often coherence is measured by chance.
_CHANCES = 7


@dataclass(frozen=True)
class Channel:
    """A curve whose amplitude and spectrum are measured.

    Attributes:
        label: in words, for tables.
        unit: of the amplitude.
        curve: ``[n]`` of a video.
    """

    label: str
    unit: str
    curve: Callable[[Observed], np.ndarray]


def _part(name: str, column: int) -> Callable[[Observed], np.ndarray]:
    return lambda observed: np.asarray(getattr(observed.curves, name)[:, column], float)


def _shapes(*names: str) -> Callable[[Observed], np.ndarray]:
    columns = [ARKIT_NAMES.index(name) for name in names]
    return lambda observed: np.asarray(observed.curves.expression[:, columns].mean(1), float)


#: By the first part of the statistics' names.
CHANNELS: dict[str, Channel] = {
    "yaw": Channel("head yaw", "°", _part("rotation", 0)),
    "pitch": Channel("head pitch", "°", _part("rotation", 1)),
    "roll": Channel("head roll", "°", _part("rotation", 2)),
    "sideways": Channel("head, sideways", "cm", _part("translation", 0)),
    "upwards": Channel("head, up and down", "cm", _part("translation", 1)),
    "forwards": Channel("head, to and fro", "cm", _part("translation", 2)),
    "aperture": Channel("lip opening", "cm", lambda observed: observed.aperture),
    "width": Channel("lip width", "cm", lambda observed: observed.width),
    "brows": Channel("brows", "", _shapes("browInnerUp", "browOuterUpLeft", "browOuterUpRight")),
    "smile": Channel("smile", "", _shapes("mouthSmileLeft", "mouthSmileRight")),
    "gaze_yaw": Channel("gaze, sideways", "°", _part("gaze", 0)),
    "gaze_pitch": Channel("gaze, up and down", "°", _part("gaze", 1)),
}

#: Label and unit of the other statistics.
OTHERS: dict[str, tuple[str, str]] = {
    "blink_rate": ("blinks", "/min"),
    "blink_closing": ("blinks, closing", "ms"),
    "blink_opening": ("blinks, opening", "ms"),
    "head_speech": ("head moves with the speech, coherence", ""),
    "shoulders": ("shoulders, speed", "cm/s"),
}


def label_of(name: str) -> tuple[str, str]:
    """Label and unit of a statistic."""
    if name in OTHERS:
        return OTHERS[name]
    channel, _, kind = name.rpartition("_")
    found = CHANNELS[channel]
    return (f"{found.label}, rhythm", "Hz") if kind == "hz" else (found.label, found.unit)


def motion_statistics(observed: Observed) -> dict[str, float | None]:
    """All statistics of a video by name; None where it is too short or does not show it.

    Args:
        observed: the video.
    """
    times = np.arange(observed.times[0], observed.times[-1], 1.0 / RATE_HZ)
    pieces = list(_pieces(observed, times))
    found: dict[str, float | None] = {}
    for name, channel in CHANNELS.items():
        curve = np.interp(times, observed.times, channel.curve(observed))
        amounts = [float(curve[piece].std()) for piece in pieces]
        speeds = [float(np.gradient(curve[piece]).std() * RATE_HZ) for piece in pieces]
        amount = _root_mean_square(amounts)
        speed = _root_mean_square(speeds)
        found[f"{name}_amount"] = amount
        found[f"{name}_hz"] = None if not amount or not speed else speed / (2 * np.pi * amount)
    return {**found, **_blinks(observed), **_rhythm(observed, times, pieces), **_body(observed)}


def _root_mean_square(values: list[float]) -> float | None:
    return float(np.sqrt(np.mean(np.square(values)))) if values else None


def _pieces(observed: Observed, times: np.ndarray) -> Iterator[slice]:
    """Pieces of about ten seconds in which the face was measured."""
    count = max(1, round(len(times) / (_PIECE_S * RATE_HZ)))
    edges = np.linspace(0, len(times), count + 1).astype(int)
    tracked = np.interp(times, observed.times, observed.tracked.astype(float))
    for first, end in pairwise(edges):
        long = end - first >= _SHORTEST_S * RATE_HZ
        if long and tracked[first:end].mean() >= _TRACKED:
            yield slice(int(first), int(end))


def _blinks(observed: Observed) -> dict[str, float | None]:
    lids = _shapes("eyeBlinkLeft", "eyeBlinkRight")(observed)
    closing: list[float] = []
    opening: list[float] = []
    for peak in _peaks(lids):
        before = _crossings(observed.times, lids, peak, -1)
        after = _crossings(observed.times, lids, peak, 1)
        if before is not None and before <= _LONGEST_S:
            closing.append(before)
            if after is not None:
                opening.append(after)
    seconds = float(observed.tracked.mean() * observed.curves.duration_s)
    rate = 60.0 * len(closing) / seconds if seconds >= _BLINKS_S else None
    return {
        "blink_rate": rate,
        "blink_closing": 1000.0 * float(np.median(closing)) if closing else None,
        "blink_opening": 1000.0 * float(np.median(opening)) if opening else None,
    }


def _peaks(lids: np.ndarray) -> list[int]:
    """Index of the furthest closure of every blink."""
    return [first + int(lids[first:end].argmax()) for first, end in runs(lids > _BLINK)]


def _crossings(times: np.ndarray, lids: np.ndarray, peak: int, way: int) -> float | None:
    """Seconds between the two levels on one side of a peak; None if the video ends there."""
    levels = []
    for level in (_HIGH * lids[peak], _LOW * lids[peak]):
        here = peak
        while 0 <= here + way < len(lids) and lids[here] > level:
            here += way
        if lids[here] > level:
            return None
        share = (lids[here - way] - level) / max(lids[here - way] - lids[here], 1e-9)
        levels.append(times[here - way] + share * (times[here] - times[here - way]))
    return float(abs(levels[1] - levels[0]))


def _rhythm(observed: Observed, times: np.ndarray, pieces: list[slice]) -> dict[str, float | None]:
    """Coherence of the head's turning with the opening that the sound asks for, beyond chance.

    Chance is the same figure for the sound moved around by several parts of its length.
    """
    heard = observed.heard
    if heard is None or not pieces or len(times) < _COHERENCE_S * RATE_HZ:
        return {"head_speech": None}
    opening = np.interp(times, np.arange(len(heard.aperture)) / HEARD_HZ, heard.aperture)
    if opening.std() < 1e-6:
        return {"head_speech": None}
    angles = [np.interp(times, observed.times, angle) for angle in observed.curves.rotation.T]
    speeds = [np.gradient(angle) for angle in angles]
    found = _coherence(speeds, opening)
    moves = (np.arange(1, _CHANCES + 1) * len(times) / (_CHANCES + 1)).astype(int)
    chance = np.mean([_coherence(speeds, np.roll(opening, move)) for move in moves])
    return {"head_speech": found - float(chance)}


def _coherence(speeds: list[np.ndarray], opening: np.ndarray) -> float:
    """Mean magnitude-squared coherence in the rhythm of speech, of the axis that follows best."""
    from scipy.signal import coherence

    best = 0.0
    for speed in speeds:
        if speed.std() < 1e-9:
            continue  # a head that is still has no coherence, and no division by zero
        hz, share = coherence(speed, opening, fs=RATE_HZ, nperseg=int(_WELCH_S * RATE_HZ))
        inside = (hz >= _RHYTHM_HZ[0]) & (hz <= _RHYTHM_HZ[1])
        best = max(best, float(share[inside].mean()))
    return best


def _body(observed: Observed) -> dict[str, float | None]:
    speeds: Float[np.ndarray, " n"] = observed.shoulders[np.isfinite(observed.shoulders)]
    enough = len(speeds) >= _SHORTEST_S * RATE_HZ / 2
    return {"shoulders": float(np.median(speeds)) if enough else None}
