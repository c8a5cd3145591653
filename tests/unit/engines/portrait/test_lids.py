"""Lids that close: what fades, and what appears."""

from __future__ import annotations

import numpy as np

from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.splats import Layer
from talkcli.face.topology import EYE_LEFT, EYE_RIGHT
from talkcli.types import MotionFrame
from tests.support.portraits import motion_of, shown


def lashes(avatar: PortraitAvatar, right: bool) -> np.ndarray:
    """Numbers of the lashes of one eye; the subject's right is at negative x."""
    side = (avatar.splats.positions[:, 0] < 0) == right
    return np.flatnonzero((avatar.splats.layers == Layer.LASHES) & side)


def lid_skin(avatar: PortraitAvatar) -> np.ndarray:
    """``[N]`` skin that lies at the rim of an upper lid."""
    rim = np.isin(avatar.splats.vertices, (*EYE_RIGHT.upper, *EYE_LEFT.upper))
    weight = (rim * avatar.splats.weights).sum(1)
    return (avatar.splats.layers == Layer.SKIN) & (weight > 0.4)


def test_open_eyes_have_no_other_lashes_than_the_picture(avatar: PortraitAvatar) -> None:
    chosen = avatar.splats.layers == Layer.LASHES
    assert avatar.splats.opacities[chosen].max() > 0.5
    for motion in (None, MotionFrame.neutral()):
        assert avatar.pose(motion).opacities[chosen].max() == 0


def test_a_shut_lid_shows_lashes_and_not_its_stretched_skin(avatar: PortraitAvatar) -> None:
    skin = lid_skin(avatar)
    before = avatar.pose(MotionFrame.neutral()).opacities[skin].copy()
    shut = avatar.pose(motion_of(eyeBlinkLeft=1, eyeBlinkRight=1)).opacities
    assert before.max() > 0.9 and shut[skin].max() < 0.01
    for right in (True, False):
        assert shut[lashes(avatar, right)].max() > 0.5


def test_each_eye_has_its_own(avatar: PortraitAvatar) -> None:
    winking = avatar.pose(motion_of(eyeBlinkLeft=1)).opacities
    assert winking[lashes(avatar, right=False)].max() > 0.5
    assert winking[lashes(avatar, right=True)].max() == 0


def test_eyes_that_open_again_look_as_before(avatar: PortraitAvatar) -> None:
    open_eyes = avatar.pose(MotionFrame.neutral()).opacities.copy()
    avatar.pose(motion_of(eyeBlinkLeft=1, eyeBlinkRight=1))
    np.testing.assert_array_equal(avatar.pose(MotionFrame.neutral()).opacities, open_eyes)


def test_exported_heads_have_open_eyes(avatar: PortraitAvatar) -> None:
    opacities = np.asarray(avatar.neutral().opacities)
    assert opacities[avatar.splats.layers == Layer.LASHES].max() == 0


def test_a_dark_line_marks_the_shut_eye(avatar: PortraitAvatar) -> None:
    """Along the middle of a lid, from its crease to the cheek, the rim is darkest."""
    picture = shown(avatar, motion_of(eyeBlinkLeft=1, eyeBlinkRight=1))[0]
    face = avatar.vertices + avatar.displacement(motion_of(eyeBlinkLeft=1, eyeBlinkRight=1))
    seen = (face @ avatar.viewmat[:3, :3].T + avatar.viewmat[:3, 3]) @ avatar.K.T
    points = seen[:, :2] / seen[:, 2:]
    for eye in (EYE_RIGHT, EYE_LEFT):
        x, rim = points[eye.upper[3]]
        top = points[eye.upper_ring[3]][1]
        column = picture[int(top) : int(2 * rim - top), int(x) - 1 : int(x) + 2].mean((1, 2))
        at_rim = column[max(0, int(rim - top) - 2) : int(rim - top) + 4].min()
        assert at_rim < 0.8 * np.median(column)


def test_lashes_thin_out_towards_the_nose(avatar: PortraitAvatar) -> None:
    for right, eye in ((True, EYE_RIGHT), (False, EYE_LEFT)):
        chosen = lashes(avatar, right)
        outer, inner = avatar.vertices[list(eye.corners), 0]
        across = (avatar.splats.positions[chosen, 0] - outer) / (inner - outer)
        dense = avatar.splats.opacities[chosen]
        assert dense[across > 0.85].max() < 0.6 * dense[(across > 0.2) & (across < 0.5)].max()


def test_no_ring_is_left_on_the_white_where_the_iris_was(avatar: PortraitAvatar) -> None:
    splats = avatar.splats
    light = splats.colors.mean(1)
    for eye in (EYE_RIGHT, EYE_LEFT):
        centre = avatar.vertices[eye.iris_centre]
        radius = np.linalg.norm(avatar.vertices[list(eye.iris_rim)] - centre, axis=1).mean()
        away = np.hypot(*(splats.positions - centre)[:, :2].T) / radius
        low, high = (avatar.vertices[list(ring), 1].mean() for ring in (eye.lower, eye.upper))
        level = np.abs(splats.positions[:, 1] - (low + high) / 2) < 0.25 * (high - low)
        white = (splats.layers == Layer.EYE) & level
        ring, behind = white & (away > 0.9) & (away < 1.35), white & (away < 0.9)
        # Before the white was continued as far, .59 of .71.
        assert light[ring].min() > 0.94 * np.median(light[behind])
