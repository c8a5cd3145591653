"""What a speaking face expresses besides its words: brows, lids, slight smiles, uneven sides.

Thirteen clips of real speakers show how much: brows move by .015 of the distance of the outer eye
corners (deviation within twenty seconds), half of it over within .28 s, mostly upwards; the lids'
opening varies by a tenth between blinks, in steps of about a second, and follows the brows at
r .44; the corners of the mouth drift by .007 apart from what is spoken, and differ by .008 between
the sides. None of it follows the loudness (r .03), so the sound only says how lively it is.
Everything is drawn from a seed as steps from level to level: a function of time, without a past.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from talkcli.motion.head import minimum_jerk
from talkcli.shapes import Float32
from talkcli.types import ARKIT_NAMES

#: Constant part of a mood, and the factor on what moves. "Left" and "Right" are appended where a
#: shape has sides.
MOODS: dict[str, tuple[Mapping[str, float], float]] = {
    "neutral": ({}, 1.0),
    "warm": ({"mouthSmile": 0.20, "cheekSquint": 0.14, "eyeSquint": 0.10, "browInnerUp": 0.06},
             1.0),
    "serious": ({"browDown": 0.22, "mouthFrown": 0.08, "eyeSquint": 0.06}, 0.7),
    "bright": ({"mouthSmile": 0.30, "cheekSquint": 0.12, "browInnerUp": 0.10, "browOuterUp": 0.12,
                "eyeWide": 0.10}, 1.4),
}  # fmt: skip

_INDEX = {name: i for i, name in enumerate(ARKIT_NAMES)}
#: Share of the motion that remains in a voice without variation, and while nobody speaks.
_FLAT_SHARE, _QUIET_SHARE = 0.6, 0.5
_STRESS_LIFT = 0.3  # of the brows, at a stress that they follow
_MOST_LIFT, _MOST_WIDE, _MOST_NARROW = 0.8, 0.7, 0.9
_LIDS_WITH_BROWS, _CHEEKS_WITH_SMILE = 0.6, 0.6
#: Shapes that may differ between the sides; none of them parts the lips.
_UNEVEN = tuple(
    (_INDEX[f"{name}Left"], _INDEX[f"{name}Right"])
    for name in ("mouthSmile", "mouthStretch", "mouthFrown", "mouthDimple", "mouthPress")
)


@dataclass(frozen=True)
class Voice:
    """How somebody speaks at one instant, 0–1 each.

    Attributes:
        activity: slow measure of speaking.
        emphasis: quick measure of stress.
        liveliness: slow measure of how much the loudness varies.
    """

    activity: float
    emphasis: float
    liveliness: float = 0.5


@dataclass(frozen=True)
class _Steps:
    """How a level changes.

    Attributes:
        draw: the next level.
        hold_s, sigma: median and spread of the log-normal time that it is held.
        move_s: shortest and longest time of a change.
    """

    draw: Callable[[np.random.Generator], float]
    hold_s: float
    sigma: float
    move_s: tuple[float, float]


def _now_and_then(share: float, size: float, rest: float) -> Callable[[np.random.Generator], float]:
    """Log-normal levels around ``size`` in a share of the steps, else near 0."""

    def draw(rng: np.random.Generator) -> float:
        if rng.random() < share:
            return float(size * rng.lognormal(0.0, 0.5))
        return float(rest * abs(rng.normal()))

    return draw


def _around_zero(size: float, most: float = np.inf) -> Callable[[np.random.Generator], float]:
    return lambda rng: float(np.clip(size * rng.normal(), -most, most))


_BROWS_UP = _Steps(_now_and_then(0.45, 0.44, 0.06), 0.45, 0.7, (0.2, 0.45))
_BROWS_DOWN = _Steps(_now_and_then(0.3, 0.32, 0.0), 1.3, 0.6, (0.3, 0.6))
_LIDS = _Steps(_around_zero(0.9, 0.9), 0.8, 0.6, (0.35, 0.6))
_SMILE = _Steps(_now_and_then(0.4, 0.12, 0.03), 2.0, 0.6, (0.5, 1.1))
_WILLING = _Steps(lambda rng: float(rng.random()), 0.6, 0.5, (0.2, 0.4))
_SIDES = _Steps(_around_zero(0.25), 1.2, 0.6, (0.3, 0.7))


class Levels:
    """A level that is held, changes smoothly, and is held again. Times must not decrease.

    Args:
        rng: draws everything.
        steps: how it changes.
    """

    def __init__(self, rng: np.random.Generator, steps: _Steps) -> None:
        self._rng, self._steps = rng, steps
        self._from = self._to = 0.0
        self._began, self._move_s = 0.0, 1.0
        self._next = float(rng.uniform(0.2, 1.0) * steps.hold_s)

    def at(self, time_s: float) -> float:
        """The level at a time in seconds."""
        while self._next <= time_s:
            self._from, self._began = self._to, self._next
            self._to = self._steps.draw(self._rng)
            self._move_s = float(self._rng.uniform(*self._steps.move_s))
            held = self._steps.hold_s * self._rng.lognormal(0.0, self._steps.sigma)
            self._next += self._move_s + float(held)
        share = minimum_jerk((time_s - self._began) / self._move_s)
        return self._from + share * (self._to - self._from)


class Expression:
    """The expression of one face. Times must be requested in increasing order.

    Args:
        seed: the same seed gives the same expression.
        mood: one of :data:`MOODS`.
        amount: factor on everything that moves; 1 is the median of real speakers.
    """

    def __init__(self, seed: np.random.SeedSequence, mood: str, amount: float) -> None:
        constant, factor = MOODS[mood]
        self._constant = np.zeros(len(ARKIT_NAMES), np.float32)
        for name, value in constant.items():
            _add(self._constant, name, value)
        self._amount = amount * factor
        rngs = [np.random.default_rng(child) for child in seed.spawn(7)]
        self._up, self._down, self._lids, self._smile, self._sides = (
            Levels(rng, steps)
            for rng, steps in zip(
                rngs, (_BROWS_UP, _BROWS_DOWN, _LIDS, _SMILE, _SIDES), strict=False
            )
        )
        self._willing = Levels(rngs[5], _WILLING)
        # Nobody's brows and corners rise evenly.
        self._brow_side, self._mouth_side = rngs[6].normal(0.0, (0.25, 0.12))

    @property
    def constant(self) -> Float32[np.ndarray, " 52"]:
        """The part that never changes: that of the mood."""
        return self._constant

    def at(self, time_s: float, voice: Voice) -> Float32[np.ndarray, " 52"]:
        """Weights of brows, lids, cheeks and corners, without those of :attr:`constant`.

        Args:
            time_s: seconds, not before the last time requested.
            voice: how it sounds then; brows follow some of its stress.
        """
        found = np.zeros(len(ARKIT_NAMES), np.float32)
        lively = _FLAT_SHARE + 2.0 * (1.0 - _FLAT_SHARE) * voice.liveliness
        amount = self._amount * lively * (_QUIET_SHARE + (1.0 - _QUIET_SHARE) * voice.activity)
        stress = self._amount * _STRESS_LIFT * voice.emphasis * self._willing.at(time_s)
        lift = min(amount * self._up.at(time_s) + stress, _MOST_LIFT)
        down = amount * self._down.at(time_s)
        smile = amount * self._smile.at(time_s)
        lids = amount * self._lids.at(time_s) + _LIDS_WITH_BROWS * (lift - down)
        _add(found, "browInnerUp", lift)
        _add(found, "browOuterUp", 0.6 * lift, self._brow_side)
        _add(found, "browDown", down, 0.5 * self._brow_side)
        _add(found, "eyeWide", min(max(0.0, lids), _MOST_WIDE))
        _add(found, "eyeSquint", min(max(0.0, -lids), _MOST_NARROW))
        _add(found, "mouthSmile", smile, self._mouth_side)
        _add(found, "cheekSquint", _CHEEKS_WITH_SMILE * smile, self._mouth_side)
        return found

    def uneven(self, weights: np.ndarray, time_s: float) -> Float32[np.ndarray, " 52"]:
        """Weights with more of the corners' shapes on one side and less on the other.

        Args:
            weights: ``[52]`` of a face that speaks evenly.
            time_s: seconds, not before the last time requested.
        """
        side = self._mouth_side + self._sides.at(time_s)
        side = float(np.clip(min(self._amount, 1.5) * side, -0.6, 0.6))
        found = weights.astype(np.float32)
        for left, right in _UNEVEN:
            found[left] *= 1.0 + side
            found[right] *= 1.0 - side
        return found


def _add(weights: np.ndarray, name: str, value: float, side: float = 0.0) -> None:
    """Add to a shape or to both of its sides, ``side`` times more to the left one."""
    if name in _INDEX:
        weights[_INDEX[name]] += value
    else:
        weights[_INDEX[f"{name}Left"]] += value * (1.0 + side)
        weights[_INDEX[f"{name}Right"]] += value * (1.0 - side)
