"""Wrong lags between a clip's sound and its pictures are found, and no right ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from talkcli.train.expression import SPEECH_SHAPES, lip_aperture
from talkcli.train.speech.lags import with_lags, wrong_lags
from tests.support.speech_training import corpus


@pytest.mark.parametrize("shift", [-0.08, 0.0, 0.12])
def test_a_wrong_lag_is_found_and_no_right_one(tmp_path: Path, shift: float) -> None:
    """Outputs that hold the true lips ``shift`` seconds later than the list says."""
    made = corpus(tmp_path, people=2)
    rng = np.random.default_rng(0)
    moves = gaussian_filter1d(rng.normal(size=400), 2.0)  # every 10 ms
    positions = np.arange(4.0, 284.0, 4.0)
    tracks, examples, taught = list(made.tracks), list(made.examples), {}
    jaw = made.basis[SPEECH_SHAPES.index("jawOpen")]
    times = np.arange(400)
    for i, moved in enumerate((shift, 0.0)):
        track = tracks[i]
        count = int(track.valid.sum())
        clip = replace(track.clip, times=positions[:count] / 100)
        aperture = np.interp(positions[:count] - 100 * moved, times, moves)
        aperture = aperture + 0.3 * aperture.std() * rng.normal(size=count)
        tracks[i] = replace(track, clip=clip, aperture=aperture)
        examples[i] = replace(examples[i], positions=clip.speech_times * 100)
        out = np.zeros((200, len(SPEECH_SHAPES) + 2), np.float32)
        out[:, SPEECH_SHAPES.index("jawOpen")] = moves[::2]
        taught[i] = out
    assert lip_aperture(jaw) > 0.5
    made = replace(made, tracks=tracks, examples=examples)
    lags = wrong_lags(made, taught)
    assert lags == ({0: pytest.approx(shift, abs=0.021)} if shift else {})
    right = with_lags(made, lags)
    if shift:
        assert right.tracks[0].clip.lag_s == lags[0]
        np.testing.assert_allclose(
            right.examples[0].positions, positions[: len(tracks[0].aperture)] - 100 * lags[0]
        )
    assert right.tracks[1] is tracks[1] and right.examples[1] is examples[1]
    assert not wrong_lags(right, taught)
