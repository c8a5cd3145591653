"""A fitted avatar at run time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from talkcli.avatar import SOURCE_VIEW, View
from talkcli.engines.audio_plane.avatar import ENGINE, PlayedSubject, SubjectAvatar
from talkcli.engines.audio_plane.checkpoint import load_subject
from talkcli.render.player import draw_head, player
from talkcli.types import MotionFrame
from tests.support.portraits import motion_of
from tests.support.subjects import FRAMES


@pytest.fixture(scope="module")
def fitted(subject: Path) -> SubjectAvatar:
    return load_subject(subject)


def over_plate(avatar: SubjectAvatar | PlayedSubject, motion: MotionFrame | None, view: View):
    rgb, alpha = draw_head(player("cpu"), avatar, motion, view)
    return rgb + (1 - alpha[..., None]) * avatar.backdrop().plate


def decibels(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(((one - other) ** 2).mean()))


def test_it_knows_its_clip(fitted: SubjectAvatar) -> None:
    info = fitted.info
    assert info.engine == ENGINE and info.motion is fitted.clip and len(fitted.clip) == FRAMES
    assert fitted.playback().info == info
    assert info.splats == len(fitted.pose(MotionFrame.neutral()))
    assert fitted.playback().playback() is not None


def test_without_a_motion_it_is_the_source_frame(fitted: SubjectAvatar) -> None:
    still = over_plate(fitted, None, SOURCE_VIEW)
    np.testing.assert_array_equal(still, over_plate(fitted, fitted.clip.frames[2], SOURCE_VIEW))


@pytest.mark.parametrize("yaw", [None, -30.0, 25.0])
def test_frames_look_like_those_of_all_splats(fitted: SubjectAvatar, yaw: float | None) -> None:
    played, view = fitted.playback(), View(yaw)
    for _ in range(12):
        played.pose(MotionFrame.neutral(), view)
    assert len(played.pose(MotionFrame.neutral(), view)) < 0.7 * fitted.info.splats
    turned = replace(motion_of(jawOpen=0.5), rotation=np.float32([6, -4, 2]))
    for motion in (fitted.clip.frames[20], turned, motion_of(eyeBlinkLeft=1.0, mouthPucker=0.6)):
        shown = over_plate(played, motion, view)
        # What the product promises is 45 dB against the drawing of all splats.
        assert decibels(shown, over_plate(fitted, motion, view)) > 46


def test_its_offsets_show(fitted: SubjectAvatar) -> None:
    bare = replace(fitted, portrait=replace(fitted.portrait, correction=None))
    wide = fitted.clip.frames[int(fitted.clip.expression[:, 24].argmax())]
    with_them, without = (over_plate(a, wide, SOURCE_VIEW) for a in (fitted, bare))
    # A dozen steps move little.
    assert decibels(with_them, without) < 70


def test_order_of_frames_does_not_matter(fitted: SubjectAvatar) -> None:
    """Only what has changed is computed; what the offsets moved must go back."""
    motions = [fitted.clip.frames[k] for k in (5, 20, 5, 33)]
    motions.insert(2, replace(motions[1], rotation=motions[1].rotation + np.float32([9, 0, 0])))
    fresh = []
    for motion in motions:
        unused = replace(fitted, portrait=replace(fitted.portrait))
        fresh.append(over_plate(unused, motion, SOURCE_VIEW))
    for motion, expected in zip(motions, fresh, strict=True):
        np.testing.assert_array_equal(over_plate(fitted, motion, SOURCE_VIEW), expected)


def test_the_neutral_head_is_whole(fitted: SubjectAvatar) -> None:
    neutral = fitted.neutral()
    assert len(neutral.means) == fitted.info.splats
    assert np.isfinite(neutral.means.numpy()).all()
    played = fitted.playback().neutral()
    np.testing.assert_array_equal(played.means.numpy(), neutral.means.numpy())
