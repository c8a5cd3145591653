"""A person's neutral face from few frames, and the models behind it."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.errors import InputError
from talkcli.face.basis import expression_basis
from talkcli.face.harmonic import HarmonicExtension
from talkcli.face.identity import fit_identity
from talkcli.face.model import FaceModel
from talkcli.face.pose import DEPTH_SCALE, IMAGE_TO_HEAD, euler_to_rotation
from talkcli.face.topology import LIPS
from talkcli.train.face.ict import PAIRS, sample_ict
from talkcli.types import ARKIT_NAMES

MODEL = FaceModel.load()


def somebody(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return MODEL.vertices + np.tensordot(rng.normal(size=40), MODEL.identity, 1)


def photographed(faces: np.ndarray) -> np.ndarray:
    """Landmarks of faces in the head frame, each in a pose of its own."""
    points = []
    for k, face in enumerate(faces):
        turn = euler_to_rotation(12 * np.sin(k), 6 * np.cos(k), 3 * k)
        image = (9 + k) * face @ (IMAGE_TO_HEAD @ turn).T + (200, 180, 0)
        points.append(image / (1, 1, DEPTH_SCALE))
    return np.array(points)


def performed(neutral: np.ndarray, played: list[dict[str, float]]) -> np.ndarray:
    extend = HarmonicExtension(neutral, MODEL.triangles, MODEL.triangle_labels)
    basis = expression_basis(neutral, extend)
    weights = np.zeros((len(played), 52))
    for row, names in zip(weights, played, strict=True):
        for name, weight in names.items():
            row[ARKIT_NAMES.index(name)] = weight
    return neutral + np.tensordot(weights, basis, 1)


def test_identity_shapes_are_people() -> None:
    assert MODEL.identity.shape == (40, 478, 3)
    size = np.sqrt((MODEL.identity**2).sum((1, 2)) / 478)
    assert (np.diff(size) < 1e-6).all()
    # People differ by some millimetres, not by centimetres or nothing.
    assert 0.2 < np.sqrt((size**2).sum()) < 0.8


@pytest.mark.parametrize("seed", range(4))
def test_neutral_face_is_found_behind_speech(seed: int) -> None:
    neutral = somebody(seed)
    frames = performed(
        neutral, [{"jawOpen": 0.4}, {"jawOpen": 0.25}, {"jawOpen": 0.15, "mouthFunnel": 0.3}]
    )
    found = fit_identity(photographed(frames), MODEL)
    lips = list(LIPS)
    error = np.linalg.norm((found.neutral - neutral)[lips], axis=1).mean()
    mean_of_frames = np.linalg.norm((frames.mean(0) - neutral)[lips], axis=1).mean()
    assert error < 0.35 * mean_of_frames  # a thirteenth to a quarter of it over these people
    jaw = found.weights[:, ARKIT_NAMES.index("jawOpen")]
    assert jaw[0] > jaw[1] > jaw[2]


def test_one_neutral_frame_is_mostly_believed() -> None:
    neutral = somebody(7)
    found = fit_identity(photographed(neutral[None]), MODEL)
    error = np.linalg.norm(found.neutral - neutral, axis=1).mean()
    assert error < 0.25 * np.linalg.norm(MODEL.vertices - neutral, axis=1).mean()
    assert found.basis.shape == (52, 478, 3)


def test_pairs_name_every_vertex_once() -> None:
    assert PAIRS.shape == (68, 2)
    assert len(set(PAIRS[:, 0])) == len(set(PAIRS[:, 1])) == 68


def test_foreign_file_is_no_ict_model(tmp_path) -> None:
    np.savez(tmp_path / "other.npz", vertices=np.zeros(3))
    with pytest.raises(InputError, match="not an ICT face model"):
        sample_ict(tmp_path / "other.npz", MODEL.vertices, MODEL.triangles)
