from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from talkcli.config import MotionConfig
from talkcli.errors import InputError
from talkcli.face.measures import lip_width
from talkcli.face.model import FaceModel
from talkcli.speech import features
from talkcli.speech.features import speech_features
from talkcli.speech.model import (
    WEIGHTS,
    SpeechModel,
    SpeechPrediction,
    load_speech_model,
    predict,
    weights_path,
)
from talkcli.types import ARKIT_NAMES
from tests.support.motion import blocks, sentence


def listen(pcm: np.ndarray, size: int) -> SpeechPrediction:
    stream = load_speech_model().stream()
    parts = [stream.push(block) for block in blocks(speech_features(pcm), size)]
    parts.append(stream.finish())
    return SpeechPrediction(
        np.concatenate([part.weights for part in parts]),
        np.concatenate([part.voice for part in parts]),
    )


@pytest.mark.parametrize("name", WEIGHTS)
def test_shipped_models_move_the_lower_face_alone(name: str) -> None:
    model = load_speech_model(weights_path(name))
    names = {ARKIT_NAMES[i] for i in model.active}
    assert {"jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthStretchLeft"} <= names
    assert all(name.startswith(("jaw", "mouth")) for name in names)
    assert weights_path(name).stat().st_size < 1.5e6


def test_the_setting_knows_the_weights() -> None:
    (field,) = [f for f in dataclasses.fields(MotionConfig) if f.name == "speech_model"]
    assert field.metadata["choices"] == WEIGHTS
    assert field.default == WEIGHTS[0]


@pytest.mark.parametrize("name", WEIGHTS)
def test_lips_open_wide_and_close_within_a_sentence(name: str) -> None:
    model = load_speech_model(weights_path(name))
    rows = predict(model, speech_features(sentence()))
    assert rows.weights.shape == (len(speech_features(sentence())), 52)
    assert rows.weights.dtype == np.float32
    assert rows.weights.min() >= 0.0
    assert rows.weights.max() <= 1.0
    aperture = rows.weights @ model.aperture
    # Real speakers open the lips by 1.2 cm in their widest tenth, of which a film shows a little
    # less, and close them in another. 1.45 with both; 0 and .08 with closed lips.
    assert 1.1 < np.quantile(aperture, 0.9) < 1.6
    assert np.quantile(aperture, 0.1) < 0.12
    assert np.quantile(rows.voice, 0.2) > 0.65  # .79 and .75


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_streamed_is_the_same_as_at_once(size: int) -> None:
    pcm = sentence()[:32000]
    whole, parts = predict(load_speech_model(), speech_features(pcm)), listen(pcm, size)
    np.testing.assert_allclose(parts.weights, whole.weights, atol=1e-4)
    np.testing.assert_allclose(parts.voice, whole.voice, atol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 6, 7, 8, 33])
def test_one_row_for_every_feature_frame(frames: int) -> None:
    values = speech_features(sentence())[100 : 100 + frames]
    rows = predict(load_speech_model(), values)
    assert rows.weights.shape == (frames, 52)
    assert rows.voice.shape == (frames,)


def test_nothing_in_nothing_out() -> None:
    assert predict(load_speech_model(), np.zeros((0, 80), np.float32)).weights.shape == (0, 52)


def test_look_ahead_is_at_most_three_tenths_of_a_second() -> None:
    half_window = features.WINDOW / 2 / features.SAMPLE_RATE
    for name in WEIGHTS:
        layout = load_speech_model(weights_path(name)).layout
        frames = layout.look_ahead + features.NORMALISER_DELAY
        assert frames / features.FRAME_RATE + half_window <= 0.3


def test_rows_wait_exactly_for_the_look_ahead() -> None:
    """What lies further ahead than ``look_ahead`` changes nothing; rows come out that early."""
    model = load_speech_model()
    values = speech_features(sentence())[:200]
    changed = values.copy()
    ahead = model.layout.look_ahead
    changed[101 + ahead :] = 3.0
    plain, other = predict(model, values), predict(model, changed)
    np.testing.assert_array_equal(plain.weights[:101], other.weights[:101])
    assert len(model.stream().push(values[: 101 + ahead]).weights) >= 101 - 3


def test_restored_weights_are_weights_and_lips_do_not_cross() -> None:
    model = load_speech_model()
    rng = np.random.default_rng(0)
    predicted = np.zeros((2000, 52))
    predicted[:, model.active] = rng.normal(0.1, 0.3, (2000, len(model.active)))
    restored = model.restore(predicted)
    assert restored.min() >= 0.0
    assert restored.max() <= 1.0
    assert (restored @ model.aperture).min() > -1e-5


def test_restored_aperture_grows_with_the_predicted_one() -> None:
    model = load_speech_model()
    usual = model.maps[:, 0, model.maps.shape[2] // 2]
    predicted = np.tile(model.full(usual), (40, 1))
    predicted[:, ARKIT_NAMES.index("jawOpen")] += np.linspace(-0.2, 0.3, 40)
    aperture = model.restore(predicted) @ model.aperture
    assert (np.diff(aperture) >= -1e-6).all()
    assert aperture[0] < 0.4  # .32, by the upper lip and the funnel alone, to 1.9
    assert aperture[-1] > 1.4


@pytest.mark.parametrize("name", WEIGHTS)
def test_spread_and_round_mouths_differ_as_real_ones(name: str) -> None:
    model = load_speech_model(weights_path(name))
    rows = predict(model, speech_features(sentence())).weights @ widths()
    low, high = np.quantile(rows, (0.03, 0.97))
    # Real speakers: 1.4 cm [1.0-1.9], of which films show three quarters.
    assert 1.0 < high - low < 2.2


def widths() -> np.ndarray:
    return np.asarray(lip_width(FaceModel.load().basis))


def test_maps_rise() -> None:
    for name in WEIGHTS:
        maps = load_speech_model(weights_path(name)).maps
        assert (np.diff(maps[:, 0]) > 0).all()
        assert (np.diff(maps[:, 1]) >= 0).all()


def test_round_trip(tmp_path: Path) -> None:
    model = load_speech_model()
    model.save(tmp_path / "copy.safetensors", "a copy")
    copy = load_speech_model(tmp_path / "copy.safetensors")
    assert isinstance(copy, SpeechModel)
    assert (copy.layout, copy.shapes) == (model.layout, model.shapes)
    for name in ("maps", "aperture", "curve"):
        np.testing.assert_array_equal(getattr(copy, name), getattr(model, name))
    for one, other in zip(copy.networks, model.networks, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


def test_networks_are_averaged() -> None:
    model = load_speech_model()
    values = speech_features(sentence())[:120]
    twice = replace(model, networks=model.networks + model.networks)
    np.testing.assert_allclose(
        predict(twice, values).weights, predict(model, values).weights, atol=1e-5
    )


def test_unreadable_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_speech_model(tmp_path / "missing.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no model")
    with pytest.raises(InputError, match="cannot be read"):
        load_speech_model(broken)
    newer = tmp_path / "newer.safetensors"
    save_file(load_file(weights_path()), newer, {"talkcli": '{"schema": 99}'})
    with pytest.raises(InputError, match="schema 99"):
        load_speech_model(newer)
