"""The sync score finds delays that are known, and says when there is nothing to find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from talkcli.metrics.observed import Heard
from talkcli.metrics.sync import REACH_S, sync_score
from tests.support.observed import person, spoken


@pytest.mark.parametrize("frames", [-10, -3, 0, 1, 3, 7])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_delay_in_frames_is_found(frames: int, seed: int) -> None:
    # .2 cm of noise on lips of .35 cm of deviation: correlations of .85, as those of good clips.
    score = sync_score(person(delay_s=frames / 25.0, seed=seed))
    assert score.offset_ms is not None and score.peak is not None
    assert score.offset_ms / 40.0 == pytest.approx(frames, abs=0.25)
    assert score.peak > 0.8 and score.confidence is not None and score.confidence > 0.99


@pytest.mark.parametrize("fps", [12.5, 29.97, 60.0])
def test_the_frame_rate_does_not_matter(fps: float) -> None:
    score = sync_score(person(fps=fps, delay_s=0.12))
    assert score.offset_ms == pytest.approx(120.0, abs=10.0)


def test_worse_lips_have_a_lower_peak() -> None:
    peaks = [sync_score(person(noise_cm=noise)).peak or 0.0 for noise in (0.0, 0.2, 0.6, 1.5)]
    assert peaks == sorted(peaks, reverse=True) and peaks[0] > 0.99 and peaks[-1] < 0.4


def test_lips_of_another_speech_are_not_believed() -> None:
    rng = np.random.default_rng(9)
    for seed in range(5):
        other = spoken(rng, 30.0)
        score = sync_score(replace(person(seed=seed), heard=Heard(other, other == 0.0)))
        # The highest of 120 correlations of unrelated curves; rhythm alone gives up to .3.
        assert score.peak is not None and score.peak < 0.4
        assert score.confidence is not None and score.confidence < 0.9


def test_frames_without_a_face_do_not_count() -> None:
    whole = person(delay_s=0.12)
    lost = np.arange(len(whole.times)) % 50 < 20
    wild = np.where(lost, 9.0, whole.aperture)
    curves = replace(whole.curves, tracked=~lost)
    score = sync_score(replace(whole, curves=curves, aperture=wild))
    assert score.offset_ms == pytest.approx(120.0, abs=15.0)


def test_no_score_says_why() -> None:
    whole = person()
    quiet = np.zeros(3000)
    for observed, why in (
        (replace(whole, heard=None), "no sound"),
        (replace(whole, aperture=np.full(len(whole.times), 0.1)), "lips do not move"),
        (replace(whole, heard=Heard(quiet, quiet == 0.0)), "nobody speaks"),
        (person(seconds=0.8), "less than a second"),
    ):
        score = sync_score(observed)
        assert (score.peak, score.offset_ms, score.confidence) == (None, None, None)
        assert why in score.note
        assert all(why in row.note and row.value is None for row in score.metrics())


def test_the_curve_spans_the_reach() -> None:
    score = sync_score(person())
    assert score.shifts_ms is not None and score.correlations is not None
    assert score.shifts_ms[0] == pytest.approx(-1000 * REACH_S) == -score.shifts_ms[-1]
    assert score.correlations.argmax() == np.abs(score.shifts_ms).argmin()
