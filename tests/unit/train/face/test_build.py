"""Building the face model: the mean of measured faces, its mesh, and what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from talkcli.errors import InputError
from talkcli.face.model import FaceModel
from talkcli.face.pose import euler_to_rotation
from talkcli.train.face.build import build_face_model, mean_face, outward, shipped_template


def test_missing_inputs_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no face_model"):
        build_face_model(tmp_path, tmp_path, tmp_path / "face.safetensors", print)


def test_the_mean_is_freed_of_pose_size_and_asymmetry() -> None:
    """Turned, scaled, shifted copies with one-sided noise give the face that they came from."""
    model = FaceModel.load()
    face = model.vertices.astype(float)
    rng = np.random.default_rng(0)
    faces = []
    for yaw, pitch, roll in ((0, 0, 0), (12, -5, 3), (-15, 8, 0), (40, 0, 0)):
        noisy = face + rng.normal(0, 0.02, face.shape)
        turned = noisy @ euler_to_rotation(yaw, pitch, roll).T
        faces.append(rng.uniform(20, 60) * turned + rng.uniform(-100, 100, 3))
    told: list[str] = []
    mean = mean_face(np.array(faces), face[:468], model.symmetry, told.append)
    assert told == ["3 of 4 neutral faces within 20° of yaw"]
    np.testing.assert_allclose(mean, mean[model.symmetry] * (-1, 1, 1), atol=0.02)
    # The median of three faces with noise of 0.02 cm, and its mirror image.
    assert np.abs(mean - face).mean() < 0.02


def test_triangles_face_outward_whatever_their_order() -> None:
    template = shipped_template()
    turned = template.triangles.copy()
    turned[::3] = turned[::3, [0, 2, 1]]
    fixed = outward(turned, template.mean)
    a, b, c = (template.mean[fixed[:, k]] for k in range(3))
    away = ((a - np.array([0.0, -2.0, -6.0])) * np.cross(b - a, c - a)).sum(1)
    assert (away >= 0).all()
    assert {frozenset(row) for row in fixed.tolist()} == {
        frozenset(row) for row in template.triangles.tolist()
    }
