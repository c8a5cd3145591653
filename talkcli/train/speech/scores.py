"""How well predicted lips follow real ones: per clip, per speaker, with an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.stats import rankdata

from talkcli.metrics.series import runs
from talkcli.speech.features import NAT_PER_DB, frame_energy

#: A real closure is a local minimum below the first share of the clip's p90 aperture; an opening
#: is a stretch of 5 frames above the second share.
_CLOSED, _OPEN = 0.15, 0.30
_MIN_OPENING_CM = 0.35
_RESAMPLES = 2000
# Closures are counted only where somebody speaks, within 20 dB of the loud level: in pauses the
# sound does not tell whether a mouth hangs open. Silence is 25 dB below the loud level for at least
# 6 frames, without 2 at either end.
_SPEAKING_DB = -20.0
_SILENT_DB, _SILENT_FRAMES, _SILENT_MARGIN = -25.0, 6, 2


@dataclass(frozen=True)
class LipMotion:
    """Lips over the frames of a clip, relative to the closed neutral face.

    Attributes:
        aperture: ``[T]`` cm.
        width: ``[T]`` cm.
        lips: ``[T, 40, 3]`` displacement of the lip vertices, cm.
    """

    aperture: np.ndarray
    width: np.ndarray
    lips: np.ndarray


@dataclass(frozen=True)
class LipScore:
    """Scores of one held-out clip.

    Attributes:
        speaker: who speaks.
        frames: number of valid frames.
        values: ``aperture_r``, ``width_r``; ``lip_error``: mean distance of lip vertices, both
            sides centred over the clip, relative to lips that never move; ``amplitude`` and
            ``jitter`` relative to the real ones; and, where the clip has pauses, ``silence``: mean
            predicted aperture there over the predicted p90.
        closures: predicted aperture over its own p90 at real closures.
        openings: the same where the real lips are open.
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
    predicted: LipMotion,
    real: LipMotion,
    valid: np.ndarray,
    loudness: np.ndarray,
) -> LipScore:
    """Compare the lips over the valid frames of one clip.

    Args:
        speaker: who speaks.
        predicted: lips predicted from sound.
        real: measured lips.
        valid: ``[T]`` bool.
        loudness: ``[T]`` dB, see :func:`relative_loudness`.
    """
    aperture, wanted = predicted.aperture[valid], real.aperture[valid]
    values = {
        "aperture_r": correlation(aperture, wanted),
        "width_r": correlation(predicted.width[valid], real.width[valid]),
        "lip_error": _lip_error(predicted.lips[valid], real.lips[valid]),
        "amplitude": float(aperture.std() / max(wanted.std(), 1e-6)),
        "jitter": _roughness(predicted.aperture) / max(_roughness(real.aperture), 1e-6),
    }
    pauses = valid & silent_frames(loudness)
    if pauses.sum() >= _SILENT_FRAMES:
        wide = max(float(np.quantile(aperture, 0.9)), 0.01)
        values["silence"] = float(predicted.aperture[pauses].mean()) / wide
    speaking = loudness > _SPEAKING_DB
    closures, openings = _closures(predicted.aperture, real.aperture, valid, speaking)
    return LipScore(speaker, int(valid.sum()), values, closures, openings)


def relative_loudness(log_mel: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """``[T]`` dB relative to the loud level (95 % quantile) of the clip.

    Args:
        log_mel: ``[F, 80]`` raw, natural log.
        positions: ``[T]`` feature frame of each video frame.
    """
    energy = gaussian_filter1d(frame_energy(log_mel), 3.0)
    energy = energy[np.clip(np.round(positions).astype(int), 0, len(energy) - 1)]
    return np.asarray((energy - np.quantile(energy, 0.95)) / NAT_PER_DB)


def silent_frames(loudness: np.ndarray) -> np.ndarray:
    """Which frames lie in pauses: ``[T]`` dB to ``[T]`` bool."""
    quiet = loudness < _SILENT_DB
    silent = np.zeros(len(quiet), bool)
    for start, end in runs(quiet):
        if end - start >= _SILENT_FRAMES:
            silent[start + _SILENT_MARGIN : end - _SILENT_MARGIN] = True
    return silent


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's r; 0 when one side does not move."""
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / max(np.sqrt((a @ a) * (b @ b)), 1e-9))


def over_speakers(scores: Sequence[LipScore], key: str, seed: int = 0) -> Interval:
    """Mean over speakers of frame-weighted clip values, with an interval from a bootstrap.

    NaN if no clip has the value.
    """
    parts: dict[str, list[tuple[float, int]]] = {}
    for score in scores:
        if key in score.values:
            parts.setdefault(score.speaker, []).append((score.values[key], score.frames))
    means = np.array(
        [np.average([v for v, _ in p], weights=[n for _, n in p]) for p in parts.values()]
    )
    if not len(means):
        return Interval(np.nan, np.nan, np.nan)
    rng = np.random.default_rng(seed)
    drawn = rng.choice(means, (_RESAMPLES, len(means))).mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(means.mean()), float(low), float(high))


def closure_auc(scores: Sequence[LipScore]) -> float:
    """Chance that a real closure has a smaller predicted aperture than a real opening."""
    closed = np.concatenate([score.closures for score in scores])
    opened = np.concatenate([score.openings for score in scores])
    ranks = rankdata(-np.concatenate([closed, opened]))[: len(closed)].sum()
    return float((ranks - len(closed) * (len(closed) + 1) / 2) / (len(closed) * len(opened)))


def _lip_error(predicted: np.ndarray, real: np.ndarray) -> float:
    moved, wanted = predicted - predicted.mean(0), real - real.mean(0)
    still = np.linalg.norm(wanted, axis=-1).mean()
    return float(np.linalg.norm(moved - wanted, axis=-1).mean() / max(still, 1e-6))


def _roughness(values: np.ndarray) -> float:
    """Root mean square of second differences between frames."""
    return float(np.sqrt(np.mean(np.diff(values, 2) ** 2)))


def _closures(
    predicted: np.ndarray, real: np.ndarray, valid: np.ndarray, speaking: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    wide, wide_predicted = np.quantile(real[valid], 0.9), np.quantile(predicted[valid], 0.9)
    closed: list[float] = []
    opened: list[float] = []
    if wide >= _MIN_OPENING_CM:
        for t in range(2, len(real) - 2):
            if not (valid[t] and speaking[t]):
                continue
            around = float(predicted[t - 2 : t + 3].min() / max(wide_predicted, 1e-3))
            lowest = real[t] <= real[t - 1] and real[t] < real[t + 1]
            if real[t] < _CLOSED * wide and lowest:
                closed.append(around)
            elif real[t - 2 : t + 3].min() > _OPEN * wide:
                opened.append(around)
    return np.array(closed), np.array(opened)
