"""A clip's motion as its avatar makes it: what is drawn covers what was seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from talkcli.engines.audio_plane.motion import aligned_motion, face_pixels
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.face.pose import euler_to_rotation
from talkcli.face.topology import RIGID
from talkcli.motion.retarget import MAX_TURN_DEG, DrivenMotion, RetargetSettings, relative_to
from talkcli.types import MotionCurves
from tests.support.subjects import known_motion

FRAMES = 24


def picture_points(avatar: PortraitAvatar, crop: np.ndarray) -> np.ndarray:
    """Crop pixels as pixels of the avatar's picture; the depth is not looked at."""
    frame = avatar.frame
    corner = np.array([frame.crop_x, frame.crop_y, 0])
    return (crop * frame.crop_side / frame.crop_pixels + corner).astype(np.float32)


def seen_points(avatar: PortraitAvatar, curves: MotionCurves) -> np.ndarray:
    return np.array([picture_points(avatar, face_pixels(avatar, m)) for m in curves.frames])


def apart(avatar: PortraitAvatar, curves: MotionCurves, seen: np.ndarray) -> np.ndarray:
    """``[n]`` mean distance of the rigid landmarks from the measured ones, crop pixels."""
    frame = avatar.frame
    scale = frame.crop_pixels / frame.crop_side
    seen = (seen[..., :2] - (frame.crop_x, frame.crop_y)) * scale
    drawn = np.array([face_pixels(avatar, m)[:, :2] for m in curves.frames])
    return np.linalg.norm((drawn - seen)[:, list(RIGID)], axis=-1).mean(-1)


def relative(curves: MotionCurves) -> MotionCurves:
    return replace(curves, relative=True)


def test_exact_motion_is_left_alone(avatar: PortraitAvatar) -> None:
    curves = relative(known_motion(FRAMES))
    found = aligned_motion(avatar, curves, seen_points(avatar, curves))
    # Rounding: a thousandth of a pixel, and as little in the motion.
    assert apart(avatar, found, seen_points(avatar, curves)).max() < 0.01
    np.testing.assert_allclose(found.translation, curves.translation, atol=2e-3)
    np.testing.assert_allclose(found.rotation, curves.rotation, atol=2e-3)


@pytest.mark.parametrize(
    ("shift", "roll", "scale"),
    [((12.0, -7.0), 0.0, 1.0), ((0.0, 0.0), 6.0, 1.0), ((0, 0), 0.0, 1.08), ((9, 5), -4, 0.93)],
)
def test_shift_roll_and_size_of_the_face_are_met(
    avatar: PortraitAvatar, shift: tuple[float, float], roll: float, scale: float
) -> None:
    curves = relative(known_motion(FRAMES))
    seen = seen_points(avatar, curves)
    centre = seen[:, list(RIGID), :2].mean((0, 1))
    angle = np.radians(roll)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    seen[..., :2] = scale * (seen[..., :2] - centre) @ turn.T + centre + shift
    before = apart(avatar, curves, seen)
    after = apart(avatar, aligned_motion(avatar, curves, seen), seen)
    assert before.min() > 2.0
    # A face that came nearer looks a little different, too: perspective is no similarity.
    assert after.max() < 0.3


def test_trembling_landmarks_do_not_make_the_head_tremble(avatar: PortraitAvatar) -> None:
    still = known_motion(FRAMES)
    still = relative(replace(still, rotation=0 * still.rotation, translation=0 * still.translation))
    seen = seen_points(avatar, still)
    shaken = np.random.default_rng(0).normal(0, 1.0, (FRAMES, 1, 2)).astype(np.float32)
    seen[..., :2] += shaken
    found = aligned_motion(avatar, still, seen)
    per_pixel = np.linalg.norm(
        aligned_motion(
            avatar, still, seen_points(avatar, still) + np.float32([1, 0, 0])
        ).translation.mean(0)
    )
    moved = np.diff(found.translation[:, :2], axis=0).std() / per_pixel
    # White noise through that Gaussian: 1 / (2 √π 1.5) of its variance is left, .43 in deviation,
    # and neighbours are alike.
    assert moved < 0.4 * np.diff(shaken[:, 0], axis=0).std()


def test_a_clip_is_measured_against_its_source_frame() -> None:
    curves = known_motion()
    turned = replace(curves, rotation=curves.rotation + np.float32([10.0, -5.0, 178.0]))
    found = relative_to(turned, 7)
    assert found.relative
    np.testing.assert_allclose(found.rotation[7], 0, atol=1e-5)
    np.testing.assert_allclose(found.translation[7], 0, atol=1e-6)
    # Roll crosses 180° in this clip: differences are those of angles.
    np.testing.assert_allclose(
        found.rotation, curves.rotation - curves.rotation[7], atol=0.05, rtol=0.02
    )
    way = (curves.translation[20] - curves.translation[7]) @ euler_to_rotation(*turned.rotation[7])
    np.testing.assert_allclose(found.translation[20], way, rtol=0.02, atol=1e-3)


def test_wild_turns_are_limited() -> None:
    curves = known_motion()
    wild = curves.rotation.copy()
    wild[20] = (90, -80, 70)
    found = relative_to(replace(curves, rotation=wild), 0)
    assert np.abs(found.rotation).max() <= np.max(MAX_TURN_DEG) + 1e-4


def test_an_avatars_own_motion_is_played_as_it_is() -> None:
    """It is relative to its source frame already, whichever frame looks most neutral."""
    curves = relative(known_motion())
    driven = DrivenMotion(curves, RetargetSettings())
    for number in (0, 13, 39):
        shown = driven.at(float(curves.times[number]))
        np.testing.assert_allclose(shown.rotation, curves.rotation[number], atol=1e-4)
        np.testing.assert_allclose(shown.translation, curves.translation[number], atol=1e-4)
