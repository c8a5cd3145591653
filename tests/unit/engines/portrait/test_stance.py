"""Portraits before a camera that goes around them."""

from __future__ import annotations

import numpy as np

from talkcli.avatar import View
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.stance import fading_into_torso, stance_of
from talkcli.types import MotionFrame


def test_a_head_looks_as_if_it_had_turned_and_the_neck_turns_as_far(
    avatar: PortraitAvatar,
) -> None:
    still = MotionFrame.neutral()
    turned = avatar.camera(still, View(25.0)).viewmat, avatar.pose(still, View(25.0)).means.copy()
    around = View(25.0, 25.0)
    orbited = avatar.camera(still, around).viewmat, avatar.pose(still, around).means.copy()
    first, second = (points @ view[:3, :3].T + view[:3, 3] for view, points in (turned, orbited))
    head = avatar.splats.head_weight > 0.999
    # cm; positions go through single precision.
    np.testing.assert_allclose(first[head], second[head], atol=1e-3)
    neck = (avatar.splats.head_weight > 0.1) & (avatar.splats.head_weight < 0.6)
    assert np.abs(first[neck] - second[neck]).max() > 0.5


def test_what_has_gone_around_is_forgotten_again(avatar: PortraitAvatar) -> None:
    still = MotionFrame.neutral()
    before = avatar.pose(still, View(0.0)).opacities.copy()
    avatar.pose(still, View(30.0, 30.0))
    np.testing.assert_array_equal(avatar.pose(still, View(0.0)).opacities, before)


def test_collars_fade_into_the_torso_and_heads_do_not(avatar: PortraitAvatar) -> None:
    own = avatar.splats.opacities
    faded = fading_into_torso(avatar.splats, avatar.camera(), avatar.frame)
    head = avatar.splats.head_weight > 0.6
    np.testing.assert_array_equal(faded[head], own[head])
    low = (avatar.splats.head_weight < 0.006) & (own > 0.5) & (avatar.splats.layers == 0)
    assert low.any() and (faded[low] < 0.05 * own[low]).all()


def test_the_surface_lies_where_the_picture_shows_it(avatar: PortraitAvatar) -> None:
    camera = avatar.camera()
    stance = stance_of(avatar.splats, camera)
    pixels = (stance.surface / stance.surface[:, 2:]) @ camera.K[:2].T
    # One splat per pixel: no two thirds of a pixel from its middle.
    assert np.abs(pixels - np.floor(pixels) - 0.5).max() < 0.1
    assert len(np.unique(np.floor(pixels).astype(int), axis=0)) > 0.99 * len(pixels)


def test_the_nape_is_the_rim_of_a_neck(avatar: PortraitAvatar) -> None:
    stance, view = stance_of(avatar.splats, avatar.camera()), avatar.viewmat
    rim = (stance.nape - view[:3, 3]) @ view[:3, :3]
    assert len(rim) > 20 and len(rim) == len(stance.nape_colors)
    # cm; a neck's radius about its axis, and heights from the larynx to the collar.
    radius = np.hypot(rim[:, 0], rim[:, 2] + 3.5)
    assert ((radius > 3) & (radius < 8)).all()
    assert ((rim[:, 1] > -16) & (rim[:, 1] < -4)).all()
    assert rim[0, 0] > 2 and rim[-1, 0] < -2 and rim[:, 2].min() < -7
