from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from talkcli.errors import UsageError
from talkcli.face.model import FaceModel
from talkcli.metrics.expression import average_expression_distance, average_pose_distance
from talkcli.metrics.image import psnr
from talkcli.metrics.landmarks import landmark_error
from talkcli.motion.retarget import (
    MAX_TURN_DEG,
    DrivenMotion,
    RetargetSettings,
    lips_from,
    pose_from,
    reference_frame,
    relative_pose,
    relative_to,
    soft_limit,
    steady_gaze,
)
from talkcli.types import ARKIT_NAMES, MotionCurves, MotionFrame

INDEX = {name: i for i, name in enumerate(ARKIT_NAMES)}


def curves_of(count: int = 50, fps: float = 25.0) -> MotionCurves:
    t = (np.arange(count) + 0.5) / fps
    expression = np.zeros((count, 52), np.float32)
    expression[:, INDEX["jawOpen"]] = np.where(t < 0.2, 0.9, 0.5 * t / t[-1])
    expression[:, INDEX["eyeBlinkLeft"]] = (np.arange(count) % 20 == 19) * 1.0
    rotation = np.stack([30 + 10 * np.sin(t), 5 * np.cos(t), t], 1)
    translation = np.stack([t, 0 * t, 0 * t], 1)
    gaze = np.stack([3 * np.sin(3 * t), 0 * t], 1)
    parts = [x.astype(np.float32) for x in (rotation, translation, gaze)]
    return MotionCurves(t, expression, *parts, np.ones(count, bool), count / fps)


def test_motion_is_relative_to_the_first_neutral_frame() -> None:
    curves = curves_of()
    index = reference_frame(curves)
    assert curves.expression[index, INDEX["jawOpen"]] < 0.3, "not one of the open mouth"
    shown = DrivenMotion(curves, RetargetSettings()).at(float(curves.times[index]))
    np.testing.assert_allclose(shown.rotation, 0, atol=1e-5)
    np.testing.assert_allclose(shown.translation, 0, atol=1e-5)
    np.testing.assert_allclose(shown.expression, curves.expression[index], atol=1e-6)


def test_shift_is_in_the_reference_head_frame() -> None:
    """A head turned by 90° that moves away from the camera's axis moves along its own z."""
    curves = curves_of()
    curves.rotation[:] = (90.0, 0.0, 0.0)
    _, shift = relative_pose(curves, RetargetSettings())
    way = shift[-1] - shift[0]
    np.testing.assert_allclose(way, [0, 0, curves.times[-1] - curves.times[0]], atol=1e-4)


def test_a_portrait_from_the_first_frame_keeps_its_pose() -> None:
    curves = curves_of()
    first = tuple(float(angle) for angle in curves.rotation[0])
    # As FaceMesh sees the same head in another picture.
    near = (first[0] + 2.0, first[1] - 3.0, first[2] + 1.0)
    shown = DrivenMotion(curves, RetargetSettings(mode="auto", turned=near)).at(0.0)
    np.testing.assert_allclose(shown.rotation, 0, atol=1e-5)
    np.testing.assert_allclose(shown.translation, 0, atol=1e-5)


def test_the_avatar_of_one_of_the_frames_has_the_pose_of_that_frame() -> None:
    curves = curves_of()
    own = relative_to(curves, 30)
    # Whatever is believed about the avatar's own pose.
    settings = RetargetSettings(mode="auto", turned=(30.0, 5.0, 0.0))
    for index in (0, 30, 49):
        shown = DrivenMotion(own, settings).at(float(curves.times[index]))
        turned = curves.rotation[index] - curves.rotation[30]
        np.testing.assert_allclose(shown.rotation, turned, atol=1e-4)
        moved = curves.translation[index] - curves.translation[30]
        assert np.linalg.norm(shown.translation) == pytest.approx(np.linalg.norm(moved), abs=1e-5)
    far = replace(curves, rotation=curves.rotation + 80 * (np.arange(50) > 40)[:, None])
    assert relative_to(far, 0).rotation.max() <= MAX_TURN_DEG.max()


def test_a_portrait_turned_elsewhere_follows_the_neutral_frame() -> None:
    curves = curves_of()
    far = (float(curves.rotation[0, 0]) + 20.0, 0.0, 0.0)
    auto, relative = (
        DrivenMotion(curves, RetargetSettings(mode=mode, turned=far)).at(0.5)
        for mode in ("auto", "relative")
    )
    np.testing.assert_array_equal(auto.rotation, relative.rotation)


def test_an_absolute_head_turns_where_the_driver_does() -> None:
    curves = curves_of()
    own = (12.0, -4.0, 3.0)
    motion = DrivenMotion(curves, RetargetSettings(mode="absolute", turned=own))
    for index in (0, 10, 39):
        shown = motion.at(float(curves.times[index]))
        wanted = soft_limit(curves.rotation[index] - own, MAX_TURN_DEG)
        np.testing.assert_allclose(shown.rotation, wanted, atol=1e-4)
    np.testing.assert_allclose(motion.at(0.0).translation, 0, atol=1e-5)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(UsageError, match="sideways"):
        RetargetSettings(mode="sideways")


def test_scales() -> None:
    curves = curves_of()
    plain, doubled = (
        DrivenMotion(curves, RetargetSettings(expr_scale=e, pose_scale=p))
        for e, p in ((1, 1), (2, 0))
    )
    time_s = float(curves.times[39])
    jaw, blink = INDEX["jawOpen"], INDEX["eyeBlinkLeft"]
    once, twice = plain.at(time_s), doubled.at(time_s)
    assert twice.expression[jaw] == pytest.approx(min(1.0, 2 * once.expression[jaw]))
    assert twice.expression[blink] == once.expression[blink] == 1.0
    assert not twice.rotation.any() and not twice.translation.any()
    assert once.rotation.any()
    # Eyes aim where the driver's do: what the head leaves out they make up for.
    turned = once.rotation[0] - twice.rotation[0]
    assert twice.gaze[0] - once.gaze[0] == pytest.approx(0.9 * turned, abs=1e-4)
    with pytest.raises(UsageError, match="pose_scale"):
        RetargetSettings(pose_scale=float("nan"))


@pytest.mark.parametrize("fps", [Fraction(10), Fraction(25), Fraction(30000, 1001), Fraction(60)])
def test_resampling_follows_time_at_any_rate(fps: Fraction) -> None:
    curves = curves_of()
    count = round(Fraction(2) * fps)
    shown = list(DrivenMotion(curves, RetargetSettings()).frames(count, fps))
    times = (np.arange(count) + 0.5) / float(fps)
    wanted = np.interp(times, curves.times, curves.expression[:, INDEX["jawOpen"]])
    found = [frame.expression[INDEX["jawOpen"]] for frame in shown]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_uneven_frames_are_shown_at_their_times() -> None:
    curves = curves_of()
    uneven = np.flatnonzero(np.random.default_rng(0).random(50) > 0.4)
    part = MotionCurves(
        *(getattr(curves, name)[uneven] for name in
          ("times", "expression", "rotation", "translation", "gaze", "tracked")), 2.0,
    )  # fmt: skip
    motion = DrivenMotion(part, RetargetSettings())
    for k, time_s in enumerate(part.times):
        shown = motion.at(float(time_s)).expression
        np.testing.assert_allclose(shown, part.expression[k], atol=1e-6)


def test_beyond_its_end_a_driver_runs_back() -> None:
    curves = curves_of()
    motion = DrivenMotion(curves, RetargetSettings())
    for ahead in (0.02, 0.5, 1.9):
        back, there = motion.at(2.0 + ahead), motion.at(2.0 - ahead)
        np.testing.assert_allclose(back.expression, there.expression, atol=1e-5)
        np.testing.assert_allclose(back.rotation, there.rotation, atol=1e-4)
        np.testing.assert_allclose(
            motion.at(4.0 + ahead).rotation, motion.at(ahead).rotation, atol=1e-4
        )
    rows = np.array([f.rotation for f in motion.frames(250, Fraction(25))])
    # .40° from frame to frame, as within the performance.
    assert np.abs(np.diff(rows, axis=0)).max() < 0.45, "no jump at either turning point"


def test_limits_are_soft() -> None:
    values = np.linspace(-200, 200, 401)[:, None] * np.ones(3)
    limited = soft_limit(values, MAX_TURN_DEG)
    assert (np.abs(limited) <= MAX_TURN_DEG).all()
    assert (np.diff(limited, axis=0) >= 0).all()
    np.testing.assert_allclose(limited[180:221], values[180:221], atol=20 - 0.7 * 28 + 0.1)


def test_mixed_mode_takes_lips_from_speech_only() -> None:
    seen = MotionFrame(
        np.full(52, 0.25, np.float32), np.full(3, 4.0), np.full(3, 0.5), np.array([1.0, 2.0])
    )
    spoken = MotionFrame(np.full(52, 0.75, np.float32), np.zeros(3), np.zeros(3), np.zeros(2))
    (mixed,) = lips_from(iter([spoken]), iter([seen]))
    for name, weight in zip(ARKIT_NAMES, mixed.expression, strict=True):
        lower = name.startswith(("jaw", "mouth", "tongue")) or name == "cheekPuff"
        assert weight == (0.75 if lower else 0.25), name
    assert mixed.rotation is seen.rotation and mixed.gaze is seen.gaze
    (posed,) = pose_from(iter([spoken]), iter([seen]))
    assert posed.expression is spoken.expression and posed.rotation is seen.rotation
    np.testing.assert_allclose(posed.gaze, [-3.6, -3.6], rtol=1e-6)
    assert np.abs(steady_gaze(np.zeros(2), np.array([40.0, -40.0, 0.0]))).max() == 12.0


def test_expression_and_pose_distance() -> None:
    driving = curves_of()
    assert average_expression_distance(driving, driving) == 0.0
    assert average_pose_distance(driving, driving) == 0.0
    other = curves_of()
    other.expression[:] += 0.1
    other.rotation[:, 1] += 9.0
    assert average_expression_distance(other, driving) == pytest.approx(0.1, abs=1e-6)
    assert average_pose_distance(other, driving) == pytest.approx(np.radians(3.0), abs=1e-6)


def test_landmark_error_ignores_place_size_and_roll() -> None:
    face = FaceModel.load().vertices * (20, -20, -20)
    turn = np.radians(20.0)
    moved = face.copy()
    moved[:, :2] = 1.3 * face[:, :2] @ np.array(
        [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    ) + (50, -9)
    assert landmark_error(face, moved) < 1e-4
    worse = face.copy()
    worse[:468, 1] += np.random.default_rng(0).normal(0, 3.0, 468)
    assert 0.4 < landmark_error(face, worse) < 1.0


def test_psnr_counts_inside_the_mask() -> None:
    picture = np.full((8, 8, 3), 100, np.uint8)
    wanted = picture.copy()
    wanted[0] = 0
    mask = np.ones((8, 8), bool)
    mask[0] = False
    assert psnr(picture, wanted, mask) == pytest.approx(120.0)
    wanted[1:] = 110
    assert psnr(picture, wanted, mask) == pytest.approx(20 * np.log10(255 / 10))
