"""Idle motion: what a head does besides speaking. Turns, blinks, gaze, brows.

Everything is a function of continuous time drawn from one seed, so videos at 24 and 60 frames per
second show the same performance, of any length and without a seam. Figures of blinks come from 32
clips of speaking people (447 s): they close in .06 s and reopen in .14 s with a slow tail, at
log-normal intervals (σ .7). Those of the head stand in :mod:`talkcli.motion.head`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from talkcli.motion.expression import Expression, Voice
from talkcli.motion.head import HeadSway
from talkcli.shapes import Float, Float32
from talkcli.types import shape_columns

_EASE_IN_S = 1.0  # motion fades in: the first frame shows the source pose
_QUIET_SHARE = 0.45  # share of the sway that remains while nobody speaks

_CLOSE_S, _SHUT_S, _REOPEN_S, _REOPEN_END_S = 0.06, 0.015, 0.14, 0.40
_BLINK_SIGMA = 0.7
_DOUBLE_SHARE, _DOUBLE_AFTER_S = 0.08, 0.32
_SHORTEST_BLINK_GAP_S = 0.45

_SACCADE_S, _SACCADE_S_PER_DEG = 0.025, 0.0025
_AWAY_SHARE = 0.22  # share of fixations away from the camera
_STEADY = 0.9  # share of a head turn that the eyes compensate to stay on the camera
_GAZE_LIMIT_DEG = 12.0
_LID_DEG = 30.0  # gaze pitch at which the lids are fully lowered or raised

_BLINK, _LOOK_DOWN, _LOOK_UP = (
    shape_columns(name) for name in ("eyeBlink", "eyeLookDown", "eyeLookUp")
)
_LIDS = [*shape_columns("eyeWide"), *shape_columns("eyeSquint")]


@dataclass(frozen=True)
class IdlePose:
    """Idle motion at one instant, with the conventions of ``MotionFrame``.

    Attributes:
        expression: weights of eyes, brows, cheeks and mouth corners, apart from speech.
        rotation: yaw, pitch, roll in degrees.
        translation: cm.
        gaze: yaw and pitch in degrees.
    """

    expression: Float32[np.ndarray, " 52"]
    rotation: Float[np.ndarray, " 3"]
    translation: Float[np.ndarray, " 3"]
    gaze: Float[np.ndarray, " 2"]


@dataclass(frozen=True)
class IdleSettings:
    """How much a head does besides speaking.

    Attributes:
        head_motion: factor on the motion of the head; 0 holds it still.
        blink_rate: mean blinks per minute; 0 for none.
        still: blinks only, on the constant expression of the mood.
        mood: one of :data:`talkcli.motion.expression.MOODS`.
        expressiveness: factor on brows, lids, smiles and uneven sides.
    """

    head_motion: float = 1.0
    blink_rate: float = 26.0
    still: bool = False
    mood: str = "neutral"
    expressiveness: float = 1.0


class IdleMotion:
    """Idle motion of one head. Times must be requested in increasing order.

    Args:
        seed: the same seed gives the same motion.
        settings: how much there is of it.
    """

    def __init__(self, seed: int, settings: IdleSettings) -> None:
        sway, blinks, gaze, expression = np.random.SeedSequence(seed).spawn(4)
        self._settings = settings
        self._sway = HeadSway(np.random.default_rng(sway))
        self._blinks = Blinks(np.random.default_rng(blinks), settings.blink_rate)
        self._gaze = Gaze(np.random.default_rng(gaze))
        self._expression = Expression(expression, settings.mood, settings.expressiveness)

    def at(self, time_s: float, voice: Voice) -> IdlePose:
        """The pose at a time.

        Args:
            time_s: seconds, not before the last time requested.
            voice: how it sounds then.
        """
        ease = _smoothstep(time_s / _EASE_IN_S)
        expression = ease * self._expression.constant
        closure = self._blinks.at(time_s)
        rotation, translation, gaze = np.zeros(3), np.zeros(3), np.zeros(2)
        if not self._settings.still:
            amount = self._settings.head_motion * (
                _QUIET_SHARE + (1.0 - _QUIET_SHARE) * voice.activity
            )
            rotation, translation = np.split(ease * amount * self._sway.at(time_s), 2)
            gaze = ease * self._gaze.at(time_s) - _STEADY * rotation[:2]
            gaze = np.clip(gaze, -_GAZE_LIMIT_DEG, _GAZE_LIMIT_DEG)
            down = -gaze[1] / _LID_DEG
            expression = expression + ease * self._expression.at(time_s, voice)
            expression[_LOOK_DOWN] = max(0.0, down)
            expression[_LOOK_UP] = max(0.0, -down)
        # Lids that close are neither wide nor narrow.
        expression[_LIDS] *= 1.0 - closure
        expression[_BLINK] = closure
        return IdlePose(expression.astype(np.float32), rotation, translation, gaze)

    def uneven(self, lips: np.ndarray, time_s: float) -> np.ndarray:
        """Lips ``[52]`` as this face moves them, one side more than the other."""
        return lips if self._settings.still else self._expression.uneven(lips, time_s)


class Blinks:
    """Blinks of both eyes at random intervals."""

    def __init__(self, rng: np.random.Generator, per_minute: float) -> None:
        self._rng = rng
        self._starts: deque[float] = deque()
        if per_minute > 0:
            # A double blink counts as two; the shortest gap is added to the random part.
            pause = 60.0 / per_minute * (1.0 + _DOUBLE_SHARE) - _DOUBLE_SHARE * _DOUBLE_AFTER_S
            self._pause = max(0.1, pause - _SHORTEST_BLINK_GAP_S)
            self._next = float(rng.uniform(0.3, self._pause + 0.3))
        else:
            self._next = np.inf

    def at(self, time_s: float) -> float:
        """Closure of the lids, from 0 (open) to 1 (shut)."""
        while self._next <= time_s:
            self._starts.append(self._next)
            last = self._next
            if self._rng.random() < _DOUBLE_SHARE:
                last += _DOUBLE_AFTER_S
                self._starts.append(last)
            mean = np.log(self._pause) - _BLINK_SIGMA**2 / 2.0
            self._next = last + _SHORTEST_BLINK_GAP_S + self._rng.lognormal(mean, _BLINK_SIGMA)
        while self._starts and time_s - self._starts[0] > _REOPEN_END_S:
            self._starts.popleft()
        return max((blink_closure(time_s - start) for start in self._starts), default=0.0)


def blink_closure(elapsed_s: float) -> float:
    """Lid closure ``elapsed_s`` after the start of a blink; 0 from 0.4 s on."""
    if elapsed_s <= 0.0 or elapsed_s >= _REOPEN_END_S:
        return 0.0
    if elapsed_s < _CLOSE_S:
        return _smoothstep(elapsed_s / _CLOSE_S)
    reopening = max(0.0, elapsed_s - _CLOSE_S - _SHUT_S) / _REOPEN_S
    tail = float(np.exp(-2.0 * reopening**1.4))
    fade = _smoothstep((_REOPEN_END_S - elapsed_s) / 0.1)
    return tail * fade


class Gaze:
    """Eyes that rest on the camera, make small saccades and now and then look away."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._from = np.zeros(2)
        self._to = np.zeros(2)
        self._began = 0.0
        self._next = float(rng.uniform(0.8, 2.5))

    def at(self, time_s: float) -> Float[np.ndarray, " 2"]:
        """Yaw and pitch in degrees."""
        while self._next <= time_s:
            self._from, self._began = self._to, self._next
            self._to, rest = self._choose()
            self._next += rest
        size = float(np.linalg.norm(self._to - self._from))
        duration = _SACCADE_S + _SACCADE_S_PER_DEG * size
        moved = _smoothstep((time_s - self._began) / duration)
        return self._from + moved * (self._to - self._from)

    def _choose(self) -> tuple[np.ndarray, float]:
        """The next fixation and its duration, which is always longer than its saccade."""
        away = np.linalg.norm(self._to) > 1.5
        if not away and self._rng.random() < _AWAY_SHARE:
            target = self._rng.normal((0.0, -1.0), (4.0, 2.2))
            target = np.clip(target, (-8.0, -5.0), (8.0, 4.0))
            return target, 0.25 + float(self._rng.lognormal(np.log(0.5), 0.5))
        return self._rng.normal(0.0, 0.35, 2), 0.3 + float(self._rng.lognormal(np.log(1.0), 0.6))


def _smoothstep(x: float) -> float:
    x = min(max(x, 0.0), 1.0)
    return x * x * (3.0 - 2.0 * x)
