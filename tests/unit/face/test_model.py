"""The face template: topology, symmetry, and what the ARKit shapes do."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.errors import InputError
from talkcli.face.basis import (
    JAW_PIVOT,
    close_eye,
    close_lips,
    expression_basis,
    jaw_arc,
    keep_apart,
    local_stretch,
)
from talkcli.face.harmonic import HarmonicExtension
from talkcli.face.measures import face_height
from talkcli.face.model import FaceModel
from talkcli.face.pose import (
    DEPTH_SCALE,
    euler_to_rotation,
    fit_pose,
    fit_similarity,
    landmarks_in_head_frame,
    rotation_to_euler,
)
from talkcli.face.topology import (
    EYE_LEFT,
    EYE_OPENING,
    EYE_RIGHT,
    INNER_LOWER,
    INNER_UPPER,
    MOUTH_OPENING,
    OUTER_CORNERS,
    triangles_from_edges,
)
from talkcli.types import ARKIT_NAMES

MODEL = FaceModel.load()


def shape(name: str) -> np.ndarray:
    return MODEL.basis[ARKIT_NAMES.index(name)]


def gap(face: np.ndarray) -> float:
    return float((face[list(INNER_UPPER), 1] - face[list(INNER_LOWER), 1]).max())


def test_topology_is_the_full_disc_with_labelled_openings() -> None:
    assert MODEL.triangles.shape == (898, 3)
    assert (MODEL.triangle_labels == EYE_OPENING).sum() == 28
    assert (MODEL.triangle_labels == MOUTH_OPENING).sum() == 18
    a, b, c = (MODEL.vertices[MODEL.triangles[:, k]] for k in range(3))
    outside = (np.cross(b - a, c - a) * (a - (0, -2, -6))).sum(1)
    assert (outside > 0).mean() > 0.99


def test_frame_is_centimetres_with_y_up_and_z_out() -> None:
    assert face_height(MODEL.vertices) == pytest.approx(17.6, abs=0.5)
    assert MODEL.vertices[10, 1] > MODEL.vertices[152, 1]
    assert MODEL.vertices[1, 2] > MODEL.vertices[234, 2]
    assert MODEL.vertices[263, 0] > 0 > MODEL.vertices[33, 0]


def test_template_is_symmetric() -> None:
    mirrored = MODEL.vertices[MODEL.symmetry] * (-1, 1, 1)
    np.testing.assert_allclose(mirrored, MODEL.vertices, atol=1e-5)


def test_left_and_right_shapes_mirror_each_other() -> None:
    for name in ("eyeBlink", "mouthSmile", "browDown", "mouthUpperUp"):
        mirrored = shape(f"{name}Left")[MODEL.symmetry] * (-1, 1, 1)
        np.testing.assert_allclose(mirrored, shape(f"{name}Right"), atol=0.05)


def test_jaw_opens_and_mouth_close_closes_it_again() -> None:
    opened = MODEL.vertices + shape("jawOpen")
    assert gap(opened) > 2.7  # cm; 3.04
    closed = opened + shape("mouthClose")
    upper, lower = closed[list(INNER_UPPER)], closed[list(INNER_LOWER)]
    np.testing.assert_allclose(upper, lower, atol=1e-4)
    np.testing.assert_allclose(shape("jawOpen")[10], 0, atol=1e-9)


def test_blink_closes_the_eye_on_its_side_only() -> None:
    def opening(face: np.ndarray) -> float:
        return float((face[list(EYE_LEFT.upper), 1] - face[list(EYE_LEFT.lower), 1]).max())

    rest = opening(MODEL.vertices)
    assert opening(MODEL.vertices + shape("eyeBlinkLeft")) < 0.05 * rest
    assert opening(MODEL.vertices + shape("eyeBlinkRight")) == pytest.approx(rest)


def test_halves_are_mirror_images_and_stay_on_their_side() -> None:
    left = [name for name in ARKIT_NAMES if name.endswith("Left") and len(name) > 9]
    for name in left:
        twin = shape(name.replace("Left", "Right"))
        mirrored = shape(name)[MODEL.symmetry] * (-1, 1, 1)
        if name not in ("jawLeft", "mouthLeft"):
            np.testing.assert_allclose(mirrored, twin, atol=2e-3)
            far = MODEL.vertices[:, 0] < -2.5
            largest = np.abs(shape(name)).max()
            assert np.abs(shape(name)[far]).max() < 0.02 * largest  # .009


def test_shapes_do_what_their_names_say() -> None:
    corner = OUTER_CORNERS[1]
    assert shape("mouthSmileLeft")[corner, 1] > 0.5
    assert shape("mouthFrownLeft")[corner, 1] < -0.3
    assert shape("mouthStretchLeft")[corner, 0] > 0.5
    assert shape("mouthPucker")[corner, 0] < -0.4
    assert shape("mouthPucker")[13, 2] > 0.5
    assert shape("mouthUpperUpLeft")[270, 1] > 0.3
    assert shape("mouthLowerDownLeft")[321, 1] < -0.25
    assert shape("jawLeft")[152, 0] > 0.5
    assert shape("browDownLeft")[285, 1] < -0.1
    assert shape("browInnerUp")[285, 1] > 0.3
    assert shape("noseSneerLeft")[358, 1] > 0.3


def test_shapes_that_leave_the_mouth_closed_move_both_lips_as_one() -> None:
    for name in ("mouthSmileLeft", "mouthPucker", "mouthStretchRight", "mouthLeft"):
        moved = shape(name)
        np.testing.assert_allclose(
            moved[list(INNER_UPPER)], moved[list(INNER_LOWER)], atol=1e-4, err_msg=name
        )


def test_looking_turns_the_iris_about_the_eyeball() -> None:
    for name, axis, sign in (("eyeLookOutLeft", 0, 1), ("eyeLookInLeft", 0, -1),
                             ("eyeLookUpLeft", 1, 1), ("eyeLookDownLeft", 1, -1)):  # fmt: skip
        moved = shape(name)[EYE_LEFT.iris_centre]
        assert sign * moved[axis] == pytest.approx(1.2 * np.sin(np.radians(30)), abs=1e-3)
        assert not shape(name)[EYE_RIGHT.iris_centre].any()


def own_face() -> np.ndarray:
    """Somebody with a wide mouth, small eyes and a long chin."""
    face = MODEL.vertices.astype(float)
    lips = np.exp(-(((face - face[13]) / 6) ** 2).sum(1, keepdims=True))
    chin = np.clip(-(face[:, 1:2] + 5) / 4, 0, 1)
    return face * (1 + 0.2 * lips * (1, 0, 0)) - 0.8 * chin * (0, 1, 0)


def test_own_shapes_of_the_mean_face_are_the_models() -> None:
    extend = HarmonicExtension(MODEL.vertices, MODEL.triangles, MODEL.triangle_labels)
    np.testing.assert_allclose(expression_basis(MODEL.vertices, extend), MODEL.basis, atol=2e-3)


def test_any_face_closes_its_lids_and_lips() -> None:
    face = own_face()
    extend = HarmonicExtension(face, MODEL.triangles, MODEL.triangle_labels)
    basis = dict(zip(ARKIT_NAMES, expression_basis(face, extend), strict=True))
    closed = face + basis["jawOpen"] + basis["mouthClose"]
    assert abs(gap(closed)) < 1e-6
    for eye, side in ((EYE_LEFT, "Left"), (EYE_RIGHT, "Right")):
        shut = face + basis[f"eyeBlink{side}"]
        assert (shut[list(eye.upper), 1] - shut[list(eye.lower), 1]).max() < 0.01
    template = shape("mouthSmileLeft")[OUTER_CORNERS[1], 0]
    assert basis["mouthSmileLeft"][OUTER_CORNERS[1], 0] > 1.03 * template


def test_stretch_of_a_scaled_face_is_its_scale() -> None:
    stretch = local_stretch(MODEL.vertices, MODEL.vertices * (1.2, 0.9, 1.0))
    np.testing.assert_allclose(stretch[14, 0, 0], 1.2, atol=0.05)
    np.testing.assert_allclose(stretch[14, 1, 1], 0.9, atol=0.04)
    np.testing.assert_allclose(stretch[468:], np.tile(np.eye(3), (10, 1, 1)))


def test_arc_brings_the_jaw_back_onto_its_circle() -> None:
    opened = shape("jawOpen")[152]
    lever = (MODEL.vertices[152] - JAW_PIVOT) * (0, 1, 1)
    end = np.linalg.norm(lever + opened * (0, 1, 1))
    middle = lever + opened * (0, 0.5, 0.5)
    arc = middle + jaw_arc(MODEL.vertices, MODEL.basis)[152] / 4
    wanted = (np.linalg.norm(lever) + end) / 2
    assert abs(np.linalg.norm(arc) - wanted) < 0.3 * abs(np.linalg.norm(middle) - wanted)


def test_lips_and_lids_are_kept_apart() -> None:
    moved = 2 * (shape("eyeBlinkLeft") + shape("mouthClose")).astype(float)
    keep_apart(moved, MODEL.vertices)
    face = MODEL.vertices + moved
    assert gap(face) > -1e-6
    upper, lower = (face[list(rim), 1] for rim in (EYE_LEFT.upper, EYE_LEFT.lower))
    assert (lower - upper).max() < 0.1


def test_close_lips_leaves_a_closed_mouth_alone() -> None:
    extend = HarmonicExtension(MODEL.vertices, MODEL.triangles, MODEL.triangle_labels)
    face = MODEL.vertices + 0.4 * shape("jawOpen")
    closed = face + close_lips(face, extend)
    assert gap(closed) < 1e-6
    np.testing.assert_allclose(close_lips(closed, extend), 0, atol=1e-6)
    assert np.abs(close_eye(face, EYE_LEFT, extend)[152]).max() < 1e-9


def test_harmonic_extension_keeps_prescribed_values_and_stays_between_them() -> None:
    extend = HarmonicExtension(MODEL.vertices, MODEL.triangles, MODEL.triangle_labels)
    field = extend({10: 1.0, 152: 0.0, 234: 0.5})
    assert (field[10], field[152], field[234]) == (1.0, 0.0, 0.5)
    assert field[:468].min() >= -1e-9
    assert field[:468].max() <= 1 + 1e-9


def test_euler_angles_follow_the_conventions() -> None:
    out = np.array([0.0, 0.0, 1.0])
    assert (euler_to_rotation(30, 0, 0) @ out)[0] > 0  # to the subject's left
    assert (euler_to_rotation(0, 20, 0) @ out)[1] > 0  # up
    assert (euler_to_rotation(0, 0, 10) @ (0.0, 1.0, 0.0))[0] > 0  # clockwise as seen
    for angles in ((20.0, 5.0, -7.0), (-35.0, 12.0, 3.0)):
        assert rotation_to_euler(euler_to_rotation(*angles)) == pytest.approx(angles)


def test_pose_of_projected_template_is_found() -> None:
    rotation = euler_to_rotation(22, -8, 5)
    flip = np.diag([1.0, -1.0, -1.0])
    image = 9.0 * MODEL.vertices @ (flip @ rotation).T + (200, 220, 0)
    pose = fit_pose(image, MODEL.vertices)
    assert pose.scale == pytest.approx(9.0)
    np.testing.assert_allclose(pose.rotation, rotation, atol=1e-6)
    np.testing.assert_allclose(pose.to_head(image), MODEL.vertices, atol=1e-5)
    np.testing.assert_allclose(pose.to_image(MODEL.vertices), image, atol=1e-4)
    measured = image / (1, 1, DEPTH_SCALE)
    np.testing.assert_allclose(
        landmarks_in_head_frame(measured, MODEL.vertices), MODEL.vertices, atol=1e-5
    )


def test_similarity_is_exact_for_exact_correspondences() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(20, 3))
    rotation = euler_to_rotation(50, 10, -20)
    scale, found, shift = fit_similarity(points, 2.5 * points @ rotation.T + (1, 2, 3))
    assert scale == pytest.approx(2.5)
    np.testing.assert_allclose(found, rotation, atol=1e-9)
    np.testing.assert_allclose(shift, (1, 2, 3), atol=1e-9)


def test_triangles_from_edges_recovers_a_fan_with_a_vertex_inside_a_triangle() -> None:
    triangles = {(0, 1, 3), (0, 2, 3), (1, 2, 3), (0, 1, 4)}
    edges = {
        tuple(sorted(e)) for t in triangles for e in ((t[0], t[1]), (t[1], t[2]), (t[0], t[2]))
    }
    found = {tuple(t) for t in triangles_from_edges(edges).tolist()}
    assert triangles <= found


def test_missing_or_foreign_model_is_an_input_error(tmp_path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        FaceModel.load(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"not a model")
    with pytest.raises(InputError, match="cannot be read"):
        FaceModel.load(tmp_path / "bad.safetensors")
