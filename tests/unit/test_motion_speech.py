from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from talkcli.errors import InputError
from talkcli.motion import features
from talkcli.motion.features import speech_features
from talkcli.motion.speech import (
    DEFAULT_PATH,
    FUTURE,
    SpeechModel,
    VoiceScale,
    load_speech_model,
)
from talkcli.types import ARKIT_NAMES
from tests.unit.motion_samples import blocks, sentence


def weights(pcm: np.ndarray, size: int = 10**6) -> np.ndarray:
    stream = load_speech_model().stream()
    parts = [stream.push(block) for block in blocks(speech_features(pcm), size)]
    return np.concatenate([*parts, stream.finish()])


def test_shipped_model_moves_the_lower_face_alone() -> None:
    model = load_speech_model()
    names = {ARKIT_NAMES[i] for i in model.active}
    assert {"jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthStretchLeft"} <= names
    assert all(name.startswith(("jaw", "mouth")) for name in names)
    assert DEFAULT_PATH.stat().st_size < 3e6


def test_lips_open_wide_and_close_within_a_sentence() -> None:
    model = load_speech_model()
    moved = weights(sentence())
    assert moved.shape == (len(speech_features(sentence())), 52)
    assert moved.dtype == np.float32
    aperture = moved @ model.aperture
    # Real speech opens the lips by 1.1 cm in its widest tenth, and closes them in another.
    assert 0.6 < np.quantile(aperture, 0.9) < 1.8
    assert np.quantile(aperture, 0.1) < 0.15


@pytest.mark.parametrize("size", [1, 7, 100])
def test_block_size_does_not_matter(size: int) -> None:
    pcm = sentence()[:32000]
    np.testing.assert_allclose(weights(pcm, size), weights(pcm), atol=1e-4)


def test_fewer_frames_than_the_look_ahead() -> None:
    assert weights(sentence()[:800]).shape == (6, 52)


def test_look_ahead_is_at_most_three_tenths_of_a_second() -> None:
    half_window = features.WINDOW / 2 / features.SAMPLE_RATE
    frames = FUTURE + features.NORMALISER_DELAY
    assert frames / features.FRAME_RATE + half_window <= 0.3


def test_restored_weights_are_weights_and_lips_do_not_cross() -> None:
    model = load_speech_model()
    rng = np.random.default_rng(0)
    deviations = np.zeros((2000, 52))
    deviations[:, model.active] = rng.normal(0.0, 0.3, (2000, len(model.active)))
    restored = model.restore(deviations)
    assert restored.min() >= 0.0
    assert restored.max() <= 1.0
    assert (restored @ model.aperture).min() > -1e-4


def test_restored_aperture_grows_with_the_predicted_one() -> None:
    model = load_speech_model()
    jaw = ARKIT_NAMES.index("jawOpen")
    deviations = np.zeros((40, 52))
    deviations[:, jaw] = np.linspace(-0.15, 0.2, 40)
    aperture = model.restore(deviations) @ model.aperture
    assert (np.diff(aperture) >= -1e-6).all()
    assert aperture[0] < 0.05
    assert aperture[-1] > 1.0


def test_voice_scale_takes_over_the_voice_at_hand() -> None:
    model = load_speech_model()
    rng = np.random.default_rng(0)
    jaw = ARKIT_NAMES.index("jawOpen")
    deviations = np.zeros((9000, 52))
    deviations[:, jaw] = 0.1 + 0.5 * model.spread / model.aperture[jaw] * rng.normal(size=9000)
    out = VoiceScale(model, 100.0).push(deviations, np.ones(9000, bool))
    late = out[6000:] @ model.aperture
    assert abs(late.mean()) < 0.02
    assert late.std() == pytest.approx(0.85 * model.spread, rel=0.05)  # 0.5 × at most 1.7
    # Nothing is learnt from pauses.
    idle = VoiceScale(model, 100.0).push(deviations, np.zeros(9000, bool))
    np.testing.assert_allclose(idle, deviations)


def test_round_trip(tmp_path: Path) -> None:
    model = load_speech_model()
    model.save(tmp_path / "copy.safetensors", "a copy")
    copy = load_speech_model(tmp_path / "copy.safetensors")
    for name in ("kernel", "bias", "mean", "aperture", "curve", "gain", "spread"):
        np.testing.assert_array_equal(getattr(copy, name), getattr(model, name))
    assert isinstance(copy, SpeechModel)


def test_unreadable_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_speech_model(tmp_path / "missing.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no model")
    with pytest.raises(InputError, match="cannot be read"):
        load_speech_model(broken)
    newer = tmp_path / "newer.safetensors"
    save_file(load_file(DEFAULT_PATH), newer, {"talkcli": '{"schema": 99}'})
    with pytest.raises(InputError, match="schema 99"):
        load_speech_model(newer)
