"""How a speaking head moves besides its lips: turns in bursts, rests between them, a slow drift.

Figures come from thirteen clips of real speakers (5 to 20 s each, medians and quartiles, angles
smoothed over 40 ms). Their heads do not sway: the deviation of the speed over its mean is .72
[.67–.78], where sums of sines have .52. They turn by 3.8, 2.8 and 2.5° (yaw, pitch, roll) at 14.5
[11.4–19.4] °/s; of the power, 54 % lie below .3 Hz, 27 % from there to .7, 8 % from 1 to 2 and
2.4 % from 2 to 4 Hz. Nothing in it is locked to stress or to the syllables.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from talkcli.shapes import Float

#: Yaw, pitch, roll in degrees and sideways, upwards, forwards in centimetres: usual size of turns.
TURN = np.array([5.8, 4.7, 5.2, 0.28, 0.15, 0.25])
#: Likewise of the quick to and fro in a burst, and of the slow drift.
_BEAT = np.array([1.8, 3.0, 1.6, 0.03, 0.06, 0.05])
_DRIFT = np.array([1.0, 0.72, 0.74, 0.08, 0.05, 0.08])
#: Share of its place that the head keeps in a turn; the rest of it is a return to the middle.
_KEPT = 0.5
_SIZE_SIGMA = 0.5  # turns are log-normal in size
_TURN_S, _TURN_S_PER_DEG = 0.30, 0.035
#: Turns in a burst, on average, and seconds between two of them; rests are log-normal.
_BURST, _WITHIN_S = 2.8, (0.2, 0.5)
_REST_LEAST_S, _REST_S, _REST_SIGMA = 0.25, 0.42, 0.8
_BEAT_SHARE, _BEAT_HZ, _BEAT_HZ_SIGMA = 0.9, 1.8, 0.35
#: Degrees per second of a beat at most. A large one that is also quick would turn the head by 12°
#: between two frames; with this bound the peaks of speed and acceleration in ten seconds are 58°/s
#: and 806°/s² in the median, of real speakers 61 and 776, without it 74 and 1,060.
_BEAT_SPEED = 80.0
_DRIFT_SINES, _DRIFT_HZ = 8, (0.03, 0.28)
#: A portrait tears when turned too far. Degrees and centimetres, approached softly.
LIMIT = np.array([11.0, 8.0, 8.5, 0.8, 0.45, 0.8])


@dataclass(frozen=True)
class _Move:
    """One turn: from its start it adds ``way`` within ``turn_s`` and a beat that fades again."""

    start: float
    turn_s: float
    way: np.ndarray
    beat: np.ndarray
    beat_hz: float
    beat_s: float

    def at(self, time_s: float) -> np.ndarray:
        elapsed = time_s - self.start
        value = minimum_jerk(elapsed / self.turn_s) * self.way
        if elapsed < self.beat_s:
            hump = np.sin(np.pi * elapsed / self.beat_s) ** 2
            value = value + hump * np.sin(2.0 * np.pi * self.beat_hz * elapsed) * self.beat
        return value

    @property
    def end(self) -> float:
        return self.start + max(self.turn_s, self.beat_s)


class HeadSway:
    """Pose of one head over time. Times must be requested in increasing order.

    Args:
        rng: draws everything; the same state gives the same pose at any frame rate.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._place = np.zeros(len(TURN))  # where the last turn leads
        self._settled = np.zeros(len(TURN))  # sum of the turns that are over
        self._moves: deque[_Move] = deque()
        self._left = 0
        low, high = _DRIFT_HZ
        shape = (len(TURN), _DRIFT_SINES)
        self._omega = 2.0 * np.pi * (low + (high - low) * rng.random(shape))
        self._phase = 2.0 * np.pi * rng.random(shape)
        self._next = self._pause()

    def at(self, time_s: float) -> Float[np.ndarray, " 6"]:
        """Yaw, pitch, roll in degrees; sideways, upwards, forwards in centimetres."""
        while self._next <= time_s:
            self._moves.append(self._draw(self._next))
            self._next += self._pause()
        while self._moves and self._moves[0].end <= time_s:
            self._settled = self._settled + self._moves.popleft().way
        waves = np.sin(self._omega * time_s + self._phase).sum(1) * np.sqrt(2.0 / _DRIFT_SINES)
        value = self._settled + _DRIFT * waves
        for move in self._moves:
            value = value + move.at(time_s)
        return np.asarray(LIMIT * np.tanh(value / LIMIT))

    def _pause(self) -> float:
        """Seconds to the next turn: short within a burst, a rest after it."""
        if self._left > 0:
            self._left -= 1
            return float(self._rng.uniform(*_WITHIN_S))
        self._left = int(self._rng.geometric(1.0 / _BURST)) - 1
        return _REST_LEAST_S + float(self._rng.lognormal(np.log(_REST_S), _REST_SIGMA))

    def _draw(self, start: float) -> _Move:
        rng = self._rng
        size = rng.lognormal(-(_SIZE_SIGMA**2), _SIZE_SIGMA) * np.sqrt(1.0 - _KEPT**2)
        place = _KEPT * self._place + size * TURN * rng.normal(size=len(TURN))
        way, self._place = place - self._place, place
        hertz = _BEAT_HZ * rng.lognormal(0.0, _BEAT_HZ_SIGMA)
        beat = _BEAT * rng.normal(size=len(TURN)) * rng.lognormal(-0.2, 0.6)
        if rng.random() > _BEAT_SHARE:
            beat = 0.0 * beat
        speed = 2.0 * np.pi * hertz * float(np.linalg.norm(beat[:3]))
        return _Move(
            start=start,
            turn_s=_TURN_S + _TURN_S_PER_DEG * float(np.linalg.norm(way[:3])),
            way=way,
            beat=beat * min(1.0, _BEAT_SPEED / max(speed, 1e-9)),
            beat_hz=float(hertz),
            beat_s=float((1.0 + rng.random()) / hertz),
        )


def minimum_jerk(share: float) -> float:
    """Share of the way after a share of the time, as heads move (Flash and Hogan 1985)."""
    share = min(max(share, 0.0), 1.0)
    return share**3 * (10.0 - 15.0 * share + 6.0 * share**2)
