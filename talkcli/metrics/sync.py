"""How well lips and sound go together, without weights of others.

The speech network of this tool hears a lip opening; the tracker sees one. Their correlation over
shifts in time has a peak: its height says how well the lips follow the sound, its place how much
later they are. This is the idea of SyncNet's LSE scores (Chung and Zisserman, "Out of time", 2016)
with openings in the place of embeddings; the figures are not those of LSE-C and LSE-D.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcli.metrics.observed import HEARD_HZ, Observed
from talkcli.metrics.result import Metric
from talkcli.metrics.series import peak_place
from talkcli.shapes import Float

#: Shifts that are tried, seconds, and their step. Encoders and players are off by up to a third of
#: a second; beyond half a second a syllable meets the next but one.
REACH_S, STEP_S = 0.6, 0.01
#: Independent values per second: syllables, which neighbouring frames share.
_INDEPENDENT_HZ = 5.0
#: An offset counts as found if it is right within this, seconds (one frame at 25 per second and
#: the step of the search).
_WITHIN_S = 0.05
#: Seconds of tracked lips, with sound, below which there is no score.
_SHORTEST_S = 1.0
#: Lips that open less than this do not speak, cm of deviation. FaceMesh's noise on still pictures
#: is .01, and the quietest real speaker of 70 clips has .06.
_STILL_CM = 0.02


@dataclass(frozen=True)
class SyncScore:
    """Synchrony of lips and sound.

    Attributes:
        peak: highest correlation over all shifts, at most 1; None if it cannot be computed.
        offset_ms: how much later than the sound the lips are at the peak.
        confidence: probability that the offset is right within a frame, 0–1, if what the network
            cannot explain is normal noise.
        note: why there is no score.
        shifts_ms: ``[k]`` tried shifts.
        correlations: ``[k]`` correlation at each.
    """

    peak: float | None
    offset_ms: float | None
    confidence: float | None
    note: str = ""
    shifts_ms: Float[np.ndarray, " k"] | None = None
    correlations: Float[np.ndarray, " k"] | None = None

    def metrics(self) -> list[Metric]:
        """The score as rows of an evaluation."""
        return [
            Metric("sync_peak", "lips follow the sound, peak r", self.peak, "", "higher",
                   note=self.note),
            Metric("sync_offset", "lips later than the sound", self.offset_ms, "ms", "zero",
                   note=self.note),
            Metric("sync_confidence", "certainty of that offset", self.confidence, "", "higher",
                   note=self.note),
        ]  # fmt: skip


def sync_score(observed: Observed) -> SyncScore:
    """Find the shift between sound and lips at which they fit best.

    Args:
        observed: a video; only frames in which the face was measured count.
    """
    if observed.heard is None:
        return _no_score("the video has no sound")
    heard = observed.heard
    lips, times = observed.aperture[observed.tracked], observed.times[observed.tracked]
    within = times < len(heard.aperture) / HEARD_HZ
    lips, times = lips[within], times[within]
    step = float(np.median(np.diff(observed.times))) if len(observed.times) > 1 else 0.0
    seconds = len(lips) * step
    if seconds < _SHORTEST_S:
        return _no_score("less than a second with face and sound")
    if float(lips.std()) < _STILL_CM:
        return _no_score("the lips do not move")
    if heard.silent.mean() > 0.98:
        return _no_score("nobody speaks")
    shifts = np.arange(-round(REACH_S / STEP_S), round(REACH_S / STEP_S) + 1) * STEP_S
    fits = np.array([_correlation(lips, heard.aperture, times - shift) for shift in shifts])
    best = int(fits.argmax())
    offset = shifts[best] + STEP_S * peak_place(fits, best)
    # The likelihood of normal noise around a line is (1 - r²)^(-n/2).
    odds = -0.5 * seconds * _INDEPENDENT_HZ * np.log(1.0 - np.clip(fits, 0.0, 0.999) ** 2)
    chances = np.exp(odds - odds.max())
    near = np.abs(shifts - offset) <= _WITHIN_S
    return SyncScore(
        peak=float(fits[best]),
        offset_ms=1000.0 * float(offset),
        confidence=float(chances[near].sum() / chances.sum()),
        shifts_ms=1000.0 * shifts,
        correlations=fits,
    )


def _correlation(lips: np.ndarray, heard: np.ndarray, times: np.ndarray) -> float:
    """Correlation of lips with what is heard at some times, silence beyond both ends."""
    places = np.arange(len(heard)) / HEARD_HZ
    wanted = np.interp(times, places, heard, left=0.0, right=0.0)
    spread = float(wanted.std() * lips.std())
    if spread < 1e-9:
        return 0.0
    return float(((wanted - wanted.mean()) * (lips - lips.mean())).mean() / spread)


def _no_score(note: str) -> SyncScore:
    return SyncScore(None, None, None, note)
