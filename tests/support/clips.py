"""Landmarks of a made face whose every weight is known."""

from __future__ import annotations

import numpy as np

from talkcli.face.model import FaceModel
from talkcli.face.pose import DEPTH_SCALE, IMAGE_TO_HEAD, euler_to_rotation
from talkcli.train.clips import Clip
from talkcli.train.expression import SPEECH_SHAPES, speech_basis
from tests.support.motion import sentence


def made_clip(weights: np.ndarray, speaker: str = "someone") -> Clip:
    """Landmarks of a face that moves by the weights while its head turns and comes nearer."""
    model = FaceModel.load()
    faces = model.vertices + np.einsum("tk,kvd->tvd", weights, speech_basis(model))
    points = []
    for t, face in enumerate(faces):
        turn = euler_to_rotation(8 * np.sin(t / 9), 5 * np.cos(t / 7), 3.0)
        image = (10 + 0.01 * t) * face @ (IMAGE_TO_HEAD @ turn).T + (300, 200, 0)
        points.append(image / (1, 1, DEPTH_SCALE))
    times = (np.arange(len(faces)) + 0.5) / 25
    return Clip("made", speaker, "CC0", 0.0, times, np.array(points), sentence())


def made_weights(frames: int = 100) -> np.ndarray:
    weights = np.zeros((frames, len(SPEECH_SHAPES)))
    t = np.arange(frames) / 25
    weights[:, SPEECH_SHAPES.index("jawOpen")] = 0.25 * np.maximum(0, np.sin(9 * t))
    weights[:, SPEECH_SHAPES.index("mouthPucker")] = 0.3 * np.maximum(0, np.sin(4 * t + 2))
    return weights
