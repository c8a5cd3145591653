from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from talkcli.errors import InputError
from talkcli.face.model import FaceModel
from talkcli.speech.features import speech_features
from talkcli.speech.model import load_speech_model, predict
from talkcli.train.clips import clip_landmarks, load_clips
from talkcli.train.expression import (
    SPEECH_SHAPES,
    bounded_ridge,
    lip_aperture,
    lip_width,
    solve_clips,
    speech_basis,
)
from talkcli.train.speech.noise import augment
from talkcli.train.speech.scores import (
    LipMotion,
    closure_auc,
    correlation,
    over_speakers,
    relative_loudness,
    score_clip,
    silent_frames,
)
from talkcli.types import shape_columns
from tests.support.clips import made_clip, made_weights
from tests.support.motion import sentence


def test_bounded_ridge_agrees_with_a_solver() -> None:
    rng = np.random.default_rng(0)
    rows, data = rng.normal(size=(40, 6)), rng.normal(size=(8, 40))
    found = bounded_ridge(rows.T @ rows, data @ rows, 2.0)
    stacked = np.concatenate([rows, np.sqrt(2.0) * np.eye(6)])
    for b, x in zip(data, found, strict=True):
        wanted = lsq_linear(stacked, np.concatenate([b, np.zeros(6)]), (0, 1)).x
        np.testing.assert_allclose(x, wanted, atol=1e-3)


def test_a_single_frame_is_solved_like_several() -> None:
    rng = np.random.default_rng(1)
    rows, data = rng.normal(size=(90, 20)), rng.normal(size=(2, 90))
    gram, target, ridge = rows.T @ rows, data @ rows, rng.uniform(0.5, 4, 20)
    several = bounded_ridge(gram, target, ridge)
    assert 0 < (several == 0).sum() < several.size
    for k, wanted in enumerate(several):
        # It stops when a sweep changes no weight by 1e-5.
        np.testing.assert_allclose(
            bounded_ridge(gram, target[k : k + 1], ridge)[0], wanted, atol=1e-4
        )
    started = bounded_ridge(gram, target[:1], ridge, start=several[:1])
    np.testing.assert_allclose(started, several[:1], atol=1e-4)


def test_expression_is_found_whatever_the_pose() -> None:
    weights = made_weights()
    (track,) = solve_clips([made_clip(weights)], FaceModel.load())
    basis = speech_basis(FaceModel.load())
    assert track.valid.all()
    assert correlation(track.aperture, weights @ lip_aperture(basis)) > 0.99999
    assert correlation(track.width, weights @ lip_width(basis)) > 0.9995
    assert track.explained > 0.998  # .9994
    jaw = SPEECH_SHAPES.index("jawOpen")
    np.testing.assert_allclose(track.weights[:, jaw], weights[:, jaw], atol=0.05)


def test_missed_frames_are_marked() -> None:
    clip = made_clip(made_weights())
    clip.points[10:14] = np.nan
    (track,) = solve_clips([clip], FaceModel.load())
    assert not track.valid[10:14].any()
    assert track.valid.sum() == 96
    assert np.isfinite(track.weights).all()
    clip.points[5:] = np.nan
    assert solve_clips([clip], FaceModel.load()) == []


def test_sides_of_a_shape() -> None:
    assert len(shape_columns("jawOpen")) == 1
    assert len(shape_columns("mouthSmile")) == 2


def motion(aperture: np.ndarray, width: np.ndarray) -> LipMotion:
    lips = np.zeros((len(aperture), 40, 3))
    lips[:, :20, 1], lips[:, 20:, 1] = aperture[:, None] / 2, -aperture[:, None] / 2
    return LipMotion(aperture, width, lips)


def test_scores() -> None:
    rng = np.random.default_rng(0)
    t = np.arange(400) / 25
    real = np.maximum(0.0, np.sin(8 * t)) + 0.2 * np.maximum(0.0, np.sin(3.3 * t))
    valid, loud = np.ones(400, bool), np.zeros(400)
    pausing = loud - 30.0 * (real == 0.0)
    truth = motion(real, real)
    same = score_clip("a", truth, truth, valid, loud)
    half = score_clip("b", motion(real / 2, -real), truth, valid, loud)
    noise = score_clip("c", motion(rng.random(400), rng.random(400)), truth, valid, loud)
    assert same.values["aperture_r"] == pytest.approx(1.0)
    assert same.values["lip_error"] == pytest.approx(0.0)
    pauses = score_clip("a", truth, truth, valid, pausing)
    assert pauses.values["silence"] == pytest.approx(0.0)
    # Closures count only where somebody speaks.
    assert len(pauses.closures) < len(same.closures)
    assert half.values["amplitude"] == pytest.approx(0.5)
    assert half.values["jitter"] == pytest.approx(0.5)
    assert half.values["lip_error"] == pytest.approx(0.5)
    assert half.values["width_r"] == pytest.approx(-1.0)
    assert closure_auc([same, half]) > 0.95
    assert abs(noise.values["aperture_r"]) < 0.15
    assert "silence" not in noise.values
    interval = over_speakers([same, half, noise], "aperture_r")
    values = [clip.values["aperture_r"] for clip in (same, half, noise)]
    assert interval.mean == pytest.approx(np.mean(values))
    assert min(values) <= interval.low < interval.mean < interval.high <= max(values) + 1e-9


def test_silent_frames_are_pauses_without_their_edges() -> None:
    mel = np.full((400, 80), -5.0)
    mel[100:200] = -20.0
    silent = silent_frames(relative_loudness(mel, np.arange(0, 400, 4.0)))
    assert silent[27:48].all()
    assert not silent[:26].any()
    assert not silent[50:].any()


@pytest.mark.parametrize("seed", range(8))
def test_spoilt_sound_stays_sound(seed: int) -> None:
    pcm = sentence()
    augmented = augment(pcm, [pcm, pcm[::-1]], np.random.default_rng(seed))
    assert augmented.shape == pcm.shape
    assert augmented.dtype == np.float32
    assert np.isfinite(augmented).all()
    # 1.00 to 1.28 over these seeds.
    assert 0.9 < augmented.std() / pcm.std() < 1.5


def test_a_folder_without_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"speech_clips\.json"):
        load_clips(tmp_path, tmp_path / "cache")


def test_clips_are_tracked_once_and_lips_follow_the_voice(
    shared_data: Path, tmp_path: Path
) -> None:
    listed = json.loads((shared_data / "speech_clips.json").read_text())
    entry = next(e for e in listed if "GRID_lbbc2a" in e["file"])
    (tmp_path / "speech_clips.json").write_text(json.dumps([entry]))
    (tmp_path / "clips").symlink_to(shared_data / "clips")
    (clip,) = load_clips(tmp_path, tmp_path / "cache")
    assert clip.free
    assert clip.points.shape == (75, 478, 3)
    (tmp_path / "clips").unlink()
    (again,) = load_clips(tmp_path, tmp_path / "cache")
    np.testing.assert_array_equal(again.points, clip.points)
    (track,) = solve_clips([clip], FaceModel.load())
    weights = predict(load_speech_model(), speech_features(clip.pcm)).weights
    aperture = np.interp(
        clip.speech_times * 100, np.arange(len(weights)), weights @ load_speech_model().aperture
    )
    assert correlation(aperture, track.aperture) > 0.85  # .917


def test_an_unreadable_clip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"no clip")
    with pytest.raises(InputError):
        clip_landmarks(tmp_path / "clip.mp4")
