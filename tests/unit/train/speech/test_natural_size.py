from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from talkcli.speech.model import SpeechModel, load_speech_model
from talkcli.train.speech.natural_size import Speaking, natural_size, speakers_of
from tests.support.clips import made_clip, made_weights

JAW, SMILE, FROWN = 0, 5, 6


def speaker(rng: np.random.Generator, size: float = 1.0) -> Speaking:
    """Shapes between 0 and ``size``, and an opening that follows the jaw."""
    weights = size * rng.beta(1.5, 4.0, (4000, 15))
    return Speaking(weights, 3.0 * weights[:, JAW] - 0.2)


def timid(of: Speaking) -> np.ndarray:
    """What a network gives that explains half of the motion."""
    mean = of.weights.mean(0)
    return np.asarray(mean + 0.5 * (of.weights - mean))


@pytest.fixture(scope="module")
def natural() -> SpeechModel:
    rng = np.random.default_rng(0)
    heard = [timid(speaker(rng)) for _ in range(5)]
    return natural_size(load_speech_model(), heard, [speaker(rng) for _ in range(5)])


def mapped(model: SpeechModel, outputs: np.ndarray, shape: int) -> np.ndarray:
    return np.asarray(np.interp(outputs[:, shape], *model.maps[shape]))


def test_shapes_get_the_distribution_of_real_speakers(natural: SpeechModel) -> None:
    fresh = speaker(np.random.default_rng(9))
    jaw = mapped(natural, timid(fresh), JAW)
    # Quantiles of 4000 values scatter by .01.
    for share in (0.1, 0.5, 0.9, 0.97):
        wanted = np.quantile(fresh.weights[:, JAW], share)
        assert np.quantile(jaw, share) == pytest.approx(wanted, abs=0.03)
    smile = mapped(natural, timid(fresh), SMILE)
    assert smile.std() > 1.05 * fresh.weights[:, SMILE].std()  # films show less than is asked for


def test_shapes_that_are_not_heard_are_not_stretched(natural: SpeechModel) -> None:
    fresh = speaker(np.random.default_rng(9))
    frown = mapped(natural, timid(fresh), FROWN)
    assert frown.std() < 0.75 * fresh.weights[:, FROWN].std()


def test_openings_close_and_open_as_real_ones(natural: SpeechModel) -> None:
    fresh = speaker(np.random.default_rng(9))
    aperture = natural.restore(natural.full(timid(fresh))) @ natural.aperture
    assert 0.12 < (aperture < 0.05).mean() < 0.25
    wide = np.quantile(fresh.aperture, 0.95)
    assert wide < np.quantile(aperture, 0.95) < 1.3 * wide


def test_lines_rise_where_outputs_do_not_vary() -> None:
    rng = np.random.default_rng(1)
    stuck = [np.full((300, 15), 0.1) for _ in range(2)]
    model = natural_size(load_speech_model(), stuck, [speaker(rng)])
    assert np.isfinite(model.maps).all()
    assert (np.diff(model.maps[:, 0], axis=1) > 0).all()
    assert (np.diff(model.maps[:, 1], axis=1) >= 0).all()


def test_each_speaker_counts_once_and_short_clips_only_where_there_are_no_others() -> None:
    from talkcli.face.model import FaceModel
    from talkcli.train.expression import solve_clips

    long, short = made_clip(made_weights(120), "a"), made_clip(made_weights(70), "b")
    tracks = solve_clips([long, replace(long, name="again"), short], FaceModel.load())
    counted = [track.valid for track in tracks]
    assert len(speakers_of(tracks, counted)) == 1
    assert len(speakers_of(tracks[2:], counted[2:])) == 1
