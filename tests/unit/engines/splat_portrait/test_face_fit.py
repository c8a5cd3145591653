"""Pose, size and vertices from what pixels say of the template."""

from __future__ import annotations

import numpy as np

from talkcli.engines.splat_portrait.face_fit import fit_face
from talkcli.face.model import FaceModel
from talkcli.face.pose import euler_to_rotation


def test_a_posed_face_is_found() -> None:
    model, rng = FaceModel.load(), np.random.default_rng(0)
    corners = model.triangles[rng.integers(0, len(model.triangles), 4000)]
    mix = rng.dirichlet((1, 1, 1), len(corners))
    places = np.einsum("nkd,nk->nd", model.vertices[corners], mix)
    own = model.vertices + 0.4 * model.identity[0]
    shown = np.einsum("nkd,nk->nd", own[corners], mix)
    rotation, origin = euler_to_rotation(20, -5, 3), np.array([1.0, 2.0, 90.0])
    points = 1.1 * shown @ rotation.T + origin
    shares = np.full(len(points), 0.9)
    wrong = rng.random(len(points)) < 0.05
    points[wrong] += rng.normal(0, 8, (int(wrong.sum()), 3))
    found = fit_face(points, places, shares, model)
    assert found is not None
    # Identity itself is .4 cm of shape, some of which a similarity explains.
    turn = np.degrees(np.arccos((np.trace(found.rotation @ rotation.T) - 1) / 2))
    assert turn < 2 and abs(found.scale / 1.1 - 1) < 0.03
    wanted = 1.1 * own @ rotation.T + origin
    apart = np.linalg.norm(found.vertices - wanted, axis=1)
    # Outliers of 8 cm move the vertices near them by their share of the pixels there.
    assert np.median(apart) < 0.3


def test_nothing_is_no_face() -> None:
    none = np.zeros((100, 3))
    assert fit_face(none, none, np.zeros(100), FaceModel.load()) is None
