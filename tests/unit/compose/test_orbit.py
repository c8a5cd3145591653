"""Torsos seen by a camera that has gone around them."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from talkcli.avatar import Backdrop, Camera, PictureFrame, Stance
from talkcli.compose.blend import Compositor
from talkcli.compose.orbit import OrbitedTorso
from talkcli.face.pose import IMAGE_TO_HEAD

SIDE, FACE_PX = 240, 70.0
#: At the distance of the neck's axis, 111.5 cm, a centimetre is about 4 pixels.
CAMERA_PX = 450.0


def camera() -> Camera:
    """Sees a frontal head whose neck is below the middle of the picture."""
    viewmat = np.eye(4)
    viewmat[:3, :3] = IMAGE_TO_HEAD
    viewmat[2, 3] = 106.0
    intrinsics = np.array([[CAMERA_PX, 0, SIDE / 2], [0, CAMERA_PX, SIDE / 3], [0, 0, 1]])
    return Camera(viewmat, intrinsics, SIDE, SIDE)


def stance() -> Stance:
    return Stance(camera(), np.zeros((0, 3), np.float32), np.zeros(0, np.float32))


def shoulders() -> np.ndarray:
    """``[S, S]`` a soft, symmetric matte of shoulders that fit into the picture."""
    cover = np.zeros((SIDE, SIDE), np.float32)
    cv2.ellipse(cover, (SIDE // 2 - 1, SIDE), (80, 120), 0, 180, 360, 1, -1)
    cover = np.maximum(cover, cover[:, ::-1])
    return cv2.GaussianBlur(cover, (0, 0), 1)


def colors() -> np.ndarray:
    """``[S, S, 3]`` smooth grain, mirrored about the middle column."""
    noise = np.float32(np.random.default_rng(1).random((SIDE, SIDE, 3)))
    grain = cv2.GaussianBlur(noise, (0, 0), 3)
    return (grain + grain[:, ::-1]) / 2


def torso() -> OrbitedTorso:
    return OrbitedTorso(colors(), shoulders(), stance(), camera().K, FACE_PX)


def test_from_the_source_it_looks_as_in_the_picture() -> None:
    drawn, cover = torso().draw(0.0), shoulders()
    # What goes around the back peeps out of the soft outline, by a fifth at most.
    np.testing.assert_allclose(drawn[..., 3], cover, atol=0.2)
    inside = cover > 0.999
    inside[-1] = False
    error = np.abs(drawn[..., :3] - colors())[inside]
    assert error.max() < 2 / 255


def test_the_chest_goes_where_the_face_turns_and_the_shoulders_come_in() -> None:
    plain = np.full((SIDE, SIDE, 3), 0.2, np.float32)
    plain[190:200, SIDE // 2 - 3 : SIDE // 2 + 3] = 1  # a button
    around = OrbitedTorso(plain, shoulders(), stance(), camera().K, FACE_PX).draw(30.0)
    button = np.argwhere(around[..., 0] > 0.6)
    assert len(button) > 20
    # The chest is 8 cm before the axis: half of that to the right, at 4 pixels per cm.
    assert button[:, 1].mean() - SIDE / 2 == pytest.approx(16, abs=4)
    width = (around[200, :, 3] > 0.5).sum() / (shoulders()[200] > 0.5).sum()
    # A flat board would be .87 as wide; a chest is deep, and what goes around the back shows.
    assert 0.85 < width < 0.97


def test_left_and_right_are_alike() -> None:
    left, right = torso().draw(-25.0), torso().draw(25.0)
    # The mesh does not begin at the middle: its nodes lie differently on both sides.
    error = np.abs(left[:, ::-1] - right)
    assert np.percentile(error, 99) < 0.06 and error.mean() < 0.004


def test_a_torso_that_the_picture_cuts_goes_on_beyond_it() -> None:
    cover = np.zeros((SIDE, SIDE), np.float32)
    cover[150:] = 1
    around = OrbitedTorso(colors(), cover, stance(), camera().K, FACE_PX).draw(30.0)
    assert (around[185:, :, 3] > 0.99).all()


def backdrop() -> Backdrop:
    source = np.full((SIDE, SIDE, 4), 255, np.uint8)
    source[..., :3] = np.clip(colors() * 255, 0, 255)
    frame = PictureFrame(SIDE, SIDE, 0, 0, SIDE, SIDE)
    plate = source[..., :3].astype(np.float32) / 255
    matte = np.round(shoulders() * 255).astype(np.uint8)
    return Backdrop(source, plate, frame, matte, None, stance)


NOBODY = np.zeros((SIDE, SIDE, 3), np.float32), np.zeros((SIDE, SIDE), np.float32)


def test_canvases_show_each_side_and_then_the_front_as_before() -> None:
    compositor = Compositor(backdrop())
    canvas = compositor.canvas()
    front = compositor.frame(*NOBODY, canvas).copy()
    side = compositor.frame(*NOBODY, canvas, orbit_deg=20.0).copy()
    assert (front != side).any(-1).mean() > 0.1
    np.testing.assert_array_equal(compositor.frame(*NOBODY, canvas), front)
    np.testing.assert_array_equal(compositor.frame(*NOBODY, orbit_deg=20.0), side)


def test_without_a_stance_the_torso_stays() -> None:
    compositor = Compositor(replace(backdrop(), stance=None))
    front = compositor.frame(*NOBODY)
    np.testing.assert_array_equal(compositor.frame(*NOBODY, orbit_deg=20.0), front)


def test_other_backgrounds_show_beside_the_torso() -> None:
    green = Compositor(backdrop(), bg="#00ff00").frame(*NOBODY, orbit_deg=30.0)
    np.testing.assert_array_equal(green[10, 10], (0, 255, 0))
    clear = Compositor(backdrop(), bg="transparent").frame(*NOBODY, orbit_deg=30.0)
    assert clear[10, 10, 3] == 0 and clear[-10, SIDE // 2, 3] == 255
    solid = clear[..., 3] == 255
    # Levels: one is premultiplied before it is rounded.
    np.testing.assert_allclose(green[solid], clear[solid][:, :3].astype(int), atol=1)


def test_a_nape_comes_out_behind_the_neck_and_goes_down_into_the_clothes() -> None:
    angle = np.radians(np.linspace(80, 280, 26))
    x, z = 6 * np.sin(angle), -106 - 6 * np.cos(angle)
    rim = np.stack([x, np.full_like(x, 8.0), -z], -1).astype(np.float32)
    skin = np.tile(np.float32([0.8, 0.5, 0.3]), (len(rim), 1))
    there = replace(stance(), nape=rim, nape_colors=skin)
    with_nape = OrbitedTorso(colors(), shoulders(), there, camera().K, FACE_PX).draw(30.0)
    shown = (with_nape[..., 3] > 0.9) & (torso().draw(30.0)[..., 3] < 0.1)
    rows, columns = np.nonzero(shown)
    # Pixels; 8 cm below the camera's axis are 34, and a nape begins a centimetre higher.
    assert 108 < rows.min() < 116 and 30 < np.ptp(columns) < 60
    np.testing.assert_allclose(with_nape[rows[0] + 5, columns[0], :3], skin[0], atol=0.02)
