"""Lags that the list of clips states wrongly.

Teachers that never met a speaker say how the lips should move; the lag at which they do is looked
for around the listed one. The best of many lags always fits a bit better, so a clip is moved only
on evidence: where the likelihood of its lips rises by more than such errors are rare.
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

#: Lags that are tried, in seconds from the listed one.
_SHIFTS = np.arange(-12, 13) * 0.02
_LISTED = len(_SHIFTS) // 2
# Of 101 clips whose lags were found by other means six pass: .46 to .79 → .54 to .91 of r.
_EVIDENCE = 4.0  # log odds
_TYPICAL_ERROR_S = 0.06  # standard deviation of listed lags from true ones
_INDEPENDENT_HZ = 5.0  # lips repeat themselves from frame to frame: values that tell something new


def wrong_lags(corpus: Corpus, taught: Mapping[int, np.ndarray]) -> dict[int, float]:
    """Clips that clearly follow another lag than the listed one, with that lag in seconds.

    Args:
        corpus: all clips.
        taught: ``[T, 17]`` outputs at 50 Hz of networks that never heard the speaker, by clip.
    """
    aperture = lip_aperture(corpus.basis)
    found = {}
    for i, out in taught.items():
        track, positions = corpus.tracks[i], corpus.lessons[i].positions
        moved = out[:, : len(SPEECH_SHAPES)] @ aperture[:, None]
        odds = _log_odds(track, moved, positions)
        best = int(odds.argmax())
        if odds[best] > _EVIDENCE:
            found[i] = round(track.clip.lag_s + float(_SHIFTS[best]), 3)
    return found


def with_lags(corpus: Corpus, lags: Mapping[int, float]) -> Corpus:
    """The corpus with other lags (seconds) of some clips."""
    tracks, lessons = list(corpus.tracks), list(corpus.lessons)
    for i, lag in lags.items():
        clip = replace(tracks[i].clip, lag_s=lag)
        tracks[i] = replace(tracks[i], clip=clip)
        lessons[i] = replace(lessons[i], positions=clip.speech_times * FRAME_RATE)
    return replace(corpus, tracks=tracks, lessons=lessons)


def _log_odds(track: TrackedSpeech, moved: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Of every lag against the listed one, were what the prediction leaves over normal noise.

    Args:
        track: what was measured.
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
