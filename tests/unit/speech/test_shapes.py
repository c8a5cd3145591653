"""Arrays of a wrong shape or type are refused while tests run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from talkcli.metrics.landmarks import landmark_error
from talkcli.motion.retarget import soft_limit, steady_gaze
from talkcli.speech.features import LevelNormaliser, speech_features
from talkcli.speech.model import load_speech_model
from talkcli.speech.vad import VoiceGate


@pytest.mark.parametrize(
    "call",
    [
        lambda: speech_features(np.zeros((2, 1600), np.float32)),
        lambda: LevelNormaliser().push(np.zeros((5, 40))),
        lambda: VoiceGate().push(np.zeros(80)),
        lambda: load_speech_model().stream().push(np.zeros((5, 80), np.int16)),
        lambda: load_speech_model().restore(np.zeros((5, 51))),
        lambda: steady_gaze(np.zeros(3), np.zeros(3)),
        lambda: soft_limit(np.zeros((5, 3)), np.ones(2)),
        lambda: landmark_error(np.zeros((468, 3)), np.zeros((468, 3))),
    ],
)
def test_wrong_shapes(call: Callable[[], object]) -> None:
    with pytest.raises(TypeCheckError):
        call()
