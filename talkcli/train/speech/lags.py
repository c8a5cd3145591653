"""Finding clips whose listed lag between sound and lips is wrong.

Teachers that never met a speaker predict the lips; the lag at which prediction and measurement fit
best is searched around the listed one. The best of many lags always fits a little better, so a lag
is corrected only where the gain in likelihood outweighs how rare such errors are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from talkcli.speech.features import FRAME_RATE
from talkcli.train.expression import SPEECH_SHAPES, TrackedSpeech, lip_aperture
from talkcli.train.speech.corpus import Corpus
from talkcli.train.speech.optimise import at_frames
from talkcli.train.speech.scores import correlation

#: Lags tried, in seconds from the listed one.
_SHIFTS = np.arange(-12, 13) * 0.02
_LISTED = len(_SHIFTS) // 2
# Of 101 clips whose lags were found by other means six pass: .46 to .79 → .54 to .91 of r.
_EVIDENCE = 4.0  # log odds
_TYPICAL_ERROR_S = 0.06  # standard deviation of listed lags from true ones
_INDEPENDENT_HZ = 5.0  # independent values per second; neighbouring frames are alike


def wrong_lags(corpus: Corpus, taught: Mapping[int, np.ndarray]) -> dict[int, float]:
    """Lags in seconds, by clip, of the clips whose listed lag is clearly wrong.

    Args:
        corpus: all clips.
        taught: ``[T, 17]`` outputs at 50 Hz, by clip, of networks that never met the speaker.
    """
    aperture = lip_aperture(corpus.basis)
    found = {}
    for i, out in taught.items():
        track, positions = corpus.tracks[i], corpus.examples[i].positions
        moved = out[:, : len(SPEECH_SHAPES)] @ aperture[:, None]
        odds = _log_odds(track, moved, positions)
        best = int(odds.argmax())
        if odds[best] > _EVIDENCE:
            found[i] = round(track.clip.lag_s + float(_SHIFTS[best]), 3)
    return found


def with_lags(corpus: Corpus, lags: Mapping[int, float]) -> Corpus:
    """The corpus with the lags (seconds) of some clips replaced."""
    tracks, examples = list(corpus.tracks), list(corpus.examples)
    for i, lag in lags.items():
        clip = replace(tracks[i].clip, lag_s=lag)
        tracks[i] = replace(tracks[i], clip=clip)
        examples[i] = replace(examples[i], positions=clip.speech_times * FRAME_RATE)
    return replace(corpus, tracks=tracks, examples=examples)


def _log_odds(track: TrackedSpeech, moved: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Log odds of every lag against the listed one, with the residual taken for normal noise.

    Args:
        track: the measured clip.
        moved: ``[T, 1]`` predicted aperture at 50 Hz.
        positions: ``[T]`` feature frame of every video frame, at the listed lag.
    """
    real = track.aperture[track.valid]
    fits = np.array(
        [
            correlation(at_frames(moved, positions - shift * FRAME_RATE)[track.valid, 0], real)
            for shift in _SHIFTS
        ]
    )
    left = np.log(1.0 - np.clip(fits, 0.0, 0.999) ** 2)
    values = track.seconds * _INDEPENDENT_HZ
    return np.asarray(
        0.5 * values * (left[_LISTED] - left) - 0.5 * (_SHIFTS / _TYPICAL_ERROR_S) ** 2
    )
