"""Somebody's own lips, learnt from what the speech network asks and what they do."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.face.basis import expression_basis
from talkcli.face.harmonic import HarmonicExtension
from talkcli.face.model import FaceModel
from talkcli.motion.retarget import SPOKEN
from talkcli.motion.voice import VoiceMap, learn_voice
from talkcli.types import ARKIT_NAMES

JAW, SMILE = ARKIT_NAMES.index("jawOpen"), ARKIT_NAMES.index("mouthSmileLeft")
PUCKER, BLINK = ARKIT_NAMES.index("mouthPucker"), ARKIT_NAMES.index("eyeBlinkLeft")
FRAMES = 400


@pytest.fixture(scope="module")
def basis() -> np.ndarray:
    model = FaceModel.load()
    extend = HarmonicExtension(model.vertices, model.triangles, model.triangle_labels)
    return np.asarray(expression_basis(model.vertices, extend))


@pytest.fixture(scope="module")
def asked() -> np.ndarray:
    """Speech of opening and rounding, with pauses in between."""
    random = np.random.default_rng(3)
    weights = np.zeros((FRAMES, 52))
    speaking = (np.arange(FRAMES) // 40 % 4 > 0).astype(float)
    weights[:, JAW] = speaking * random.uniform(0, 0.5, FRAMES)
    weights[:, PUCKER] = speaking * random.uniform(0, 0.4, FRAMES)
    return weights


def learnt(asked: np.ndarray, seen: np.ndarray, basis: np.ndarray) -> VoiceMap:
    return learn_voice(asked, seen, basis, FaceModel.load().vertices)


def test_a_person_who_smiles_opens_less_and_rounds_more_is_met(
    asked: np.ndarray, basis: np.ndarray
) -> None:
    seen = asked.copy()
    seen[:, JAW] *= 0.7
    seen[:, PUCKER] *= 1.5
    seen[:, SMILE] = 0.2
    voice = learnt(asked, seen, basis)
    made = np.stack([voice(weights) for weights in asked])
    before, after = (np.abs(x - seen)[:, SPOKEN].mean() for x in (asked, made))
    # Pulled half way to the identity, a change of scale is made by half.
    assert after < 0.6 * before
    assert made[:, SMILE].mean() == pytest.approx(0.2, abs=0.02)


def test_the_lips_stay_shut_where_the_network_shuts_them(
    asked: np.ndarray, basis: np.ndarray
) -> None:
    seen = asked.copy()
    seen[:, JAW] *= 1.3
    voice = learnt(asked, seen, basis)
    shut = voice(np.zeros(52))
    assert float(shut @ voice.opening) < 0.05
    wide = voice(np.eye(52)[JAW] * 0.5)
    assert float(wide @ voice.opening) > 0.5 * 0.5 * voice.opening[JAW]


def test_what_does_not_speak_is_left_alone(asked: np.ndarray, basis: np.ndarray) -> None:
    seen = asked.copy()
    seen[:, BLINK] = 0.4
    weights = asked[60] + 0.3 * np.eye(52)[BLINK]
    assert learnt(asked, seen, basis)(weights)[BLINK] == pytest.approx(0.3)


def test_weights_stay_between_0_and_1(asked: np.ndarray, basis: np.ndarray) -> None:
    voice = learnt(asked, np.minimum(3 * asked, 1), basis)
    made = np.stack([voice(weights) for weights in np.clip(2 * asked, 0, 1)])
    assert made[:, SPOKEN].min() >= 0 and made[:, SPOKEN].max() <= 1


def test_a_silent_clip_teaches_nothing_strange(basis: np.ndarray) -> None:
    voice = learnt(np.zeros((50, 52)), np.zeros((50, 52)), basis)
    assert np.abs(voice(np.zeros(52))).max() < 1e-3
    assert np.isfinite(voice(np.full(52, 0.3))).all()
