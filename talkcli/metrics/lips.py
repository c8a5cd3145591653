"""How closely lips follow those of the real clip: opening and width over time, and closures.

Apertures and widths are measured in the head frame, so that turning the head changes nothing, and
in % of the face height.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np

from talkcli.face.alignment import PICTURE_DEPTH, align_heads
from talkcli.face.measures import face_height, lip_aperture, lip_width
from talkcli.metrics.observed import Heard
from talkcli.metrics.pair import FramePair
from talkcli.metrics.result import Metric
from talkcli.metrics.series import peak_place, runs
from talkcli.shapes import Float

#: Lips closer than this share of their width are shut. FaceMesh sees shut lips at -.01 to .015.
SHUT = 0.04
#: ... and further apart than this, open.
_OPEN = 0.10
#: A closure follows and precedes open lips within this time, seconds.
_AROUND_S = 0.24
#: A closure is met if the made lips are shut within this time of it, seconds.
_MET_S = 0.06
#: Longest lag that is searched for, seconds.
LONGEST_LAG_S = 0.6
#: Fewer frames than this give no correlation.
_FEWEST = 12
#: Lips whose deviation is below this (% of the face height) do not move: what FaceMesh makes of a
#: still picture that is coded anew.
_STILL = 0.05
#: A lag is believed from this correlation on.
_SURE = 0.3


@dataclass(frozen=True)
class LipTracks:
    """Lips of both videos at the same instants.

    Attributes:
        times: ``[n]`` seconds of the made video.
        made: ``[n, 2]`` aperture and width, % of the face height, NaN without a face.
        real: ``[n, 2]`` likewise.
    """

    times: Float[np.ndarray, " n"]
    made: Float[np.ndarray, "n 2"]
    real: Float[np.ndarray, "n 2"]


class LipScores:
    """Correlation, size, lag and closures of the lips.

    Args:
        template: ``[478, 3]`` the person's rigid face, head frame, cm.
        heard: the sound, on the clock of the made video; None without.
    """

    def __init__(self, template: Float[np.ndarray, "478 3"], heard: Heard | None = None) -> None:
        self._template, self._heard = template, heard
        self._height = float(face_height(template))
        self._rows = array("d")

    def add(self, pair: FramePair) -> None:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        row = [pair.time_s]
        for points in (pair.made_points, pair.real_points):
            row += [np.nan, np.nan] if points is None else self._measure(points)
        self._rows.extend(row)

    def _measure(self, points: np.ndarray) -> list[float]:
        head = align_heads(points[None], self._template, PICTURE_DEPTH).points[0]
        percent = 100.0 / self._height
        return [percent * float(lip_aperture(head)), percent * float(lip_width(head))]

    @property
    def tracks(self) -> LipTracks:
        """What has been measured so far."""
        rows = np.array(self._rows).reshape(-1, 5)
        return LipTracks(rows[:, 0], rows[:, 1:3], rows[:, 3:5])

    def finish(self) -> list[Metric]:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        tracks = self.tracks
        return [
            _correlation(tracks, 0, "lip_aperture_r", "lip aperture, correlation"),
            _correlation(tracks, 1, "lip_width_r", "lip width, correlation"),
            _size(tracks),
            lip_lag(tracks),
            _bilabial(tracks),
            _silence(tracks, self._heard),
        ]


def _both(tracks: LipTracks, column: int) -> tuple[np.ndarray, np.ndarray]:
    made, real = tracks.made[:, column], tracks.real[:, column]
    there = np.isfinite(made) & np.isfinite(real)
    return made[there], real[there]


def _correlation(tracks: LipTracks, column: int, name: str, label: str) -> Metric:
    made, real = _both(tracks, column)
    if len(made) < _FEWEST:
        return Metric(name, label, None, "", "higher", note="too few frames with two faces")
    if real.std() < _STILL:
        return Metric(name, label, None, "", "higher", note="the real lips do not move")
    if made.std() < _STILL:
        return Metric(name, label, 0.0, "", "higher", note="the made lips do not move")
    return Metric(name, label, float(np.corrcoef(made, real)[0, 1]), "", "higher")


def _size(tracks: LipTracks) -> Metric:
    name, label = "lip_aperture_size", "size of the lip motion, made / real"
    made, real = _both(tracks, 0)
    if len(made) < _FEWEST or real.std() < _STILL:
        return Metric(name, label, None, "", "one", note="the real lips do not move")
    return Metric(name, label, float(made.std() / real.std()), "", "one")


def lip_lag(tracks: LipTracks) -> Metric:
    """How much later the made lips open than the real ones.

    Args:
        tracks: lips of both videos.
    """
    name, label = "lip_lag", "lag of the made lips"
    there = np.isfinite(tracks.made[:, 0]) & np.isfinite(tracks.real[:, 0])
    why = ""
    if there.sum() < _FEWEST:
        why = "too few frames with two faces"
    elif min(tracks.made[there, 0].std(), tracks.real[there, 0].std()) < _STILL:
        why = "lips do not move"
    if why:
        return Metric(name, label, None, "ms", "zero", note=why)
    times = tracks.times[there]
    step = float(np.median(np.diff(times)))
    grid = np.arange(times[0], times[-1] + step / 2, step)
    made, real = (np.interp(grid, times, values[there, 0]) for values in (tracks.made, tracks.real))
    most = min(round(LONGEST_LAG_S / step), (len(grid) - _FEWEST) // 2)
    found = [_shifted(made, real, lag) for lag in range(-most, most + 1)] if most > 0 else []
    # A rise towards the longest lag is no peak.
    if not found or max(found) < _SURE or int(np.argmax(found)) in (0, len(found) - 1):
        return Metric(name, label, None, "ms", "zero", note="lips do not follow those of the clip")
    best = int(np.argmax(found))
    lag_ms = 1000.0 * step * (best - most + peak_place(np.array(found), best))
    return Metric(name, label, lag_ms, "ms", "zero", note=f"correlation {max(found):.2f} there")


def _shifted(made: np.ndarray, real: np.ndarray, lag: int) -> float:
    """Correlation of the made lips with the real ones, ``lag`` steps earlier."""
    a = made[lag:] if lag >= 0 else made[:lag]
    b = real[: len(real) - lag] if lag >= 0 else real[-lag:]
    if min(a.std(), b.std()) < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _bilabial(tracks: LipTracks) -> Metric:
    """Share of the real closures between open lips that the made lips make as well."""
    name, label = "closures_met", "closures between open lips, met"
    made, real = (rows[:, 0] / rows[:, 1] for rows in (tracks.made, tracks.real))
    met = total = 0
    for first, after_last in runs(real < SHUT):
        start, end = tracks.times[first], tracks.times[after_last - 1]
        near = (tracks.times >= start - _AROUND_S) & (tracks.times <= end + _AROUND_S)
        before = near & (tracks.times < start)
        after = near & (tracks.times > end)
        if not ((real[before] > _OPEN).any() and (real[after] > _OPEN).any()):
            continue
        there = (tracks.times >= start - _MET_S) & (tracks.times <= end + _MET_S)
        total += 1
        met += bool((made[there] < SHUT).any())
    if not total:
        return Metric(name, label, None, "%", "higher", note="the real lips never close in passing")
    return Metric(name, label, 100.0 * met / total, "%", "higher", note=f"{met} of {total}")


def _silence(tracks: LipTracks, heard: Heard | None) -> Metric:
    name, label = "shut_in_pauses", "lips shut in pauses"
    if heard is None:
        return Metric(name, label, None, "%", "higher", note="neither video has sound")
    made, real = (rows[:, 0] / rows[:, 1] for rows in (tracks.made, tracks.real))
    paused = heard.silent_at(tracks.times) & np.isfinite(made) & np.isfinite(real)
    if paused.sum() < _FEWEST:
        return Metric(name, label, None, "%", "higher", note="the sound has no pause")
    share, true = (100.0 * float((lips[paused] < SHUT).mean()) for lips in (made, real))
    return Metric(name, label, share, "%", "higher", note=f"real clip: {true:.0f} %")
