"""How well predicted lips follow real ones: per clip, then per speaker, then with an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

#: A real closure is a local minimum below this share of the clip's wide-open aperture (p90) ...
_CLOSED, _OPEN = 0.15, 0.30  # ... and a stretch of 5 frames above the second share is none.
_MIN_OPENING_CM = 0.35
_RESAMPLES = 2000


@dataclass(frozen=True)
class LipScore:
    """One held-out clip.

    Attributes:
        speaker: who speaks.
        frames: how many count.
        values: ``aperture_r``, ``width_r``, ``amplitude`` and ``jitter`` (both relative to the
            real ones).
        closures: predicted aperture over its own p90 at real closures.
        openings: the same where the lips are really open.
    """

    speaker: str
    frames: int
    values: Mapping[str, float]
    closures: np.ndarray
    openings: np.ndarray


@dataclass(frozen=True)
class Interval:
    """A mean over speakers with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def score_clip(
    speaker: str,
    predicted: tuple[np.ndarray, np.ndarray],
    real: tuple[np.ndarray, np.ndarray],
    valid: np.ndarray,
) -> LipScore:
    """Compare aperture and width over the valid frames of one clip.

    Args:
        speaker: who speaks.
        predicted: aperture and width, ``[T]`` each, cm.
        real: the same, measured.
        valid: ``[T]`` bool.
    """
    aperture, wanted = predicted[0][valid], real[0][valid]
    values = {
        "aperture_r": correlation(aperture, wanted),
        "width_r": correlation(predicted[1][valid], real[1][valid]),
        "amplitude": float(aperture.std() / max(wanted.std(), 1e-6)),
        "jitter": _roughness(predicted[0]) / max(_roughness(real[0]), 1e-6),
    }
    closures, openings = _closures(predicted[0], real[0], valid)
    return LipScore(speaker, int(valid.sum()), values, closures, openings)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's r; 0 when one side does not move."""
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / max(np.sqrt((a @ a) * (b @ b)), 1e-9))


def over_speakers(scores: Sequence[LipScore], key: str, seed: int = 0) -> Interval:
    """Mean over speakers of their frame-weighted clip values, with a bootstrap over speakers."""
    parts: dict[str, list[tuple[float, int]]] = {}
    for score in scores:
        parts.setdefault(score.speaker, []).append((score.values[key], score.frames))
    means = np.array(
        [np.average([v for v, _ in p], weights=[n for _, n in p]) for p in parts.values()]
    )
    rng = np.random.default_rng(seed)
    drawn = rng.choice(means, (_RESAMPLES, len(means))).mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(means.mean()), float(low), float(high))


def closure_auc(scores: Sequence[LipScore]) -> float:
    """Chance that a random real closure has a smaller predicted aperture than a random opening."""
    closed = np.concatenate([score.closures for score in scores])
    opened = np.concatenate([score.openings for score in scores])
    ranks = rankdata(-np.concatenate([closed, opened]))[: len(closed)].sum()
    return float((ranks - len(closed) * (len(closed) + 1) / 2) / (len(closed) * len(opened)))


def _roughness(values: np.ndarray) -> float:
    """Root mean square of second differences between frames."""
    return float(np.sqrt(np.mean(np.diff(values, 2) ** 2)))


def _closures(
    predicted: np.ndarray, real: np.ndarray, valid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    wide, wide_predicted = np.quantile(real[valid], 0.9), np.quantile(predicted[valid], 0.9)
    closed: list[float] = []
    opened: list[float] = []
    if wide >= _MIN_OPENING_CM:
        for t in range(2, len(real) - 2):
            if not valid[t]:
                continue
            around = float(predicted[t - 2 : t + 3].min() / max(wide_predicted, 1e-3))
            lowest = real[t] <= real[t - 1] and real[t] < real[t + 1]
            if real[t] < _CLOSED * wide and lowest:
                closed.append(around)
            elif real[t - 2 : t + 3].min() > _OPEN * wide:
                opened.append(around)
    return np.array(closed), np.array(opened)
