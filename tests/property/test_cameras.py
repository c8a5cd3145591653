"""Angles, poses and views: there and back again, at any angle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from talkcli.config import MAX_VIEW_YAW_DEG, VideoConfig
from talkcli.errors import UsageError
from talkcli.face.alignment import align_heads
from talkcli.face.model import FaceModel
from talkcli.face.pose import (
    DEPTH_SCALE,
    IMAGE_TO_HEAD,
    HeadPose,
    euler_to_rotation,
    fit_pose,
    landmarks_in_head_frame,
    rotation_to_euler,
)
from talkcli.pipeline.video.views import plan_views

TURNS = st.floats(-179, 179)
#: Yaw and roll cannot be told apart at a pitch of 90°; nearer to it than this, degrees are lost.
PITCHES = st.floats(-85, 85)
AMPLITUDES = st.floats(0, MAX_VIEW_YAW_DEG)
SECONDS = st.floats(0.04, 7200)
VERTICES = FaceModel.load().vertices.astype(np.float64)


@given(TURNS, PITCHES, TURNS)
def test_angles_come_back_from_their_rotation(yaw: float, pitch: float, roll: float) -> None:
    rotation = euler_to_rotation(yaw, pitch, roll)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    np.testing.assert_allclose(rotation_to_euler(rotation), (yaw, pitch, roll), atol=1e-9)


@given(TURNS, st.floats(-90, 90), TURNS)
def test_a_rotation_comes_back_from_its_angles(yaw: float, pitch: float, roll: float) -> None:
    rotation = euler_to_rotation(yaw, pitch, roll)
    # At a pitch of 90° sines are flat: 1e-8 there is double precision's square root.
    np.testing.assert_allclose(euler_to_rotation(*rotation_to_euler(rotation)), rotation, atol=3e-8)


@given(PITCHES, TURNS, TURNS)
def test_yaw_turns_left_and_pitch_looks_up(pitch: float, yaw: float, roll: float) -> None:
    nose = euler_to_rotation(yaw, pitch, roll) @ (0.0, 0.0, 1.0)
    assert np.degrees(np.arctan2(nose[0], nose[2])) == pytest.approx(yaw, abs=1e-9)
    assert np.degrees(np.arcsin(nose[1])) == pytest.approx(pitch, abs=1e-9)


POSES = st.builds(
    lambda scale, yaw, pitch, roll, x, y: HeadPose(
        scale, euler_to_rotation(yaw, pitch, roll), np.array([x, y, 0.0])
    ),
    st.floats(0.5, 200),
    st.floats(-80, 80),
    st.floats(-60, 60),
    st.floats(-60, 60),
    st.floats(-5000, 5000),
    st.floats(-5000, 5000),
)


@given(POSES)
def test_a_pose_is_found_again_from_what_it_shows(pose: HeadPose) -> None:
    image = pose.to_image(VERTICES)
    np.testing.assert_allclose(pose.to_head(image), VERTICES, atol=1e-9)
    found = fit_pose(image, VERTICES)
    assert found.scale == pytest.approx(pose.scale)
    np.testing.assert_allclose(found.rotation, pose.rotation, atol=1e-9)
    np.testing.assert_allclose(found.shift, pose.shift, atol=1e-6)
    flat = image / (1, 1, DEPTH_SCALE)  # as FaceMesh gives it
    np.testing.assert_allclose(landmarks_in_head_frame(flat, VERTICES), VERTICES, atol=1e-9)


@given(st.lists(POSES, min_size=1, max_size=4), st.sampled_from([1.0, 0.3]))
def test_many_heads_are_aligned_as_one_by_one(poses: list[HeadPose], depth_weight: float) -> None:
    seen = np.stack([pose.to_image(VERTICES) / (1, 1, DEPTH_SCALE) for pose in poses])
    heads = align_heads(seen, VERTICES, depth_weight)
    assert heads.residuals.max() < 1e-6
    for k, pose in enumerate(poses):
        np.testing.assert_allclose(heads.rotations[k], pose.rotation, atol=1e-7)
        assert heads.scales[k] == pytest.approx(pose.scale)
        np.testing.assert_allclose(heads.shifts[k][:2], pose.shift[:2], atol=1e-5)
        np.testing.assert_allclose(heads.points[k], VERTICES, atol=1e-7)
    assert np.array_equal(IMAGE_TO_HEAD @ IMAGE_TO_HEAD, np.eye(3))


def yaws_of(video: VideoConfig, seconds: float) -> Callable[[float], tuple[float | None, ...]]:
    """The yaws of the planned views."""
    views_at = plan_views(video, seconds)
    return lambda time_s: tuple(view.yaw_deg for view in views_at(time_s))


@given(AMPLITUDES, SECONDS, st.floats(0, 1))
def test_an_orbit_starts_and_ends_in_front_and_is_the_same_backwards(
    amplitude: float, seconds: float, share: float
) -> None:
    at = yaws_of(VideoConfig(camera_path="orbit", camera_yaw_deg=amplitude), seconds)
    near = pytest.approx
    assert at(0.0) == (0.0,) and at(seconds) == near((0.0,), abs=1e-6)
    (yaw,), (mirrored,) = at(share * seconds), at(seconds - share * seconds)
    assert abs(yaw) <= amplitude
    assert mirrored == near(-yaw, abs=1e-6 * max(amplitude, 1))
    # A whole swing to each side within its first dozen seconds, the subject's left first.
    yaws = [at(min(seconds, 12.0) * k / 400)[0] for k in range(401)]
    assert max(yaws) == near(amplitude, rel=1e-3) and min(yaws) == near(-amplitude, rel=1e-3)
    assert yaws[1] >= 0


@given(AMPLITUDES, SECONDS, st.floats(0, 1), st.floats(0, 1))
def test_an_arc_turns_once_from_side_to_side(
    amplitude: float, seconds: float, first: float, second: float
) -> None:
    at = yaws_of(VideoConfig(camera_path="arc", camera_yaw_deg=amplitude), seconds)
    assert at(0.0) == (-amplitude,) and at(seconds) == pytest.approx((amplitude,))
    earlier, later = sorted((first, second))
    assert at(earlier * seconds)[0] <= at(later * seconds)[0] + 1e-9
    mirrored = at(seconds - first * seconds)[0]
    assert mirrored == pytest.approx(-at(first * seconds)[0], abs=1e-6)


@given(
    st.lists(st.floats(-MAX_VIEW_YAW_DEG, MAX_VIEW_YAW_DEG), max_size=5).map(tuple),
    st.floats(0, 3600),
    st.sampled_from(["orbit", "arc"]),
)
def test_fixed_views_stay_and_do_not_go_with_a_camera_path(
    views: tuple[float, ...], time_s: float, path: str
) -> None:
    video = VideoConfig(views=views)
    assert yaws_of(video, 10.0)(time_s) == (views or (None,))
    assume(views)
    with pytest.raises(UsageError, match="omit one of them"):
        plan_views(replace(video, camera_path=path), 10.0)
