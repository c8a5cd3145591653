"""Composition: pixels that never change, scales, backgrounds, strips."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from talkcli.compose.blend import Compositor, output_size
from talkcli.compose.over import composite_over
from talkcli.compose.window import CropWindow
from talkcli.errors import InputError, UsageError
from talkcli.render.solid import solidify
from tests.support.pictures import Picture, Place, portrait


def blob(size: int, x: int, y: int, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """A premultiplied red disc with a soft rim."""
    alpha = np.zeros((size, size), np.float32)
    cv2.circle(alpha, (x, y), radius, 1.0, -1, cv2.LINE_AA)
    alpha = np.where(alpha > 0, cv2.GaussianBlur(alpha, (0, 0), 1), 0)
    return alpha[..., None] * np.float32([0.9, 0.1, 0.1]), alpha


def test_untouched_pixels_are_the_source_bit_by_bit() -> None:
    scene = portrait()
    compositor = Compositor(scene)
    frames = [compositor.frame(*blob(64, x, 30, 9)) for x in (20, 25, 40)]
    touched = np.zeros((96, 128), bool)
    for x in (20, 25, 40):
        touched[10:74, 40:104] |= blob(64, x, 30, 9)[1] > 0
    for frame in frames:
        np.testing.assert_array_equal(frame[~touched], scene.source[~touched][:, :3])
    assert (frames[0] != frames[2]).any()


def test_no_head_gives_the_plate() -> None:
    scene = portrait()
    scene.plate = np.full_like(scene.plate, 0.2)
    nothing = np.zeros((64, 64, 3), np.float32), np.zeros((64, 64, 1), np.float32)
    frame = Compositor(scene).frame(*nothing)
    assert (frame[30:60, 60:90] == 51).all()
    np.testing.assert_array_equal(frame[:, :40], scene.source[:, :40, :3])


def test_covering_follows_the_over_operator() -> None:
    scene = portrait()
    rgb, alpha = blob(64, 32, 32, 12)
    frame = Compositor(scene).frame(rgb, alpha[..., None])
    expected = rgb + scene.plate * (1 - alpha[..., None])
    part = frame[10:74, 40:104][18:46, 18:46].astype(np.float32)
    assert np.abs(part - expected[18:46, 18:46] * 255).max() <= 0.51


def laid_over_slowly(
    rgb: np.ndarray, alpha: np.ndarray, fade: np.ndarray, base: np.ndarray, dense: bool
) -> np.ndarray:
    """What :func:`composite_over` computes, for pixels that are covered."""
    base = base.astype(np.float32) / 255
    if base.shape[2] == 4:
        base[..., :3] *= base[..., 3:]
    if dense:
        rgb, alpha = rgb.copy(), alpha.copy()
        solidify(rgb, alpha)
    layer = rgb if base.shape[2] == 3 else np.dstack([rgb, alpha])
    fade = fade / np.maximum(alpha, 1)
    through = 1 - alpha * fade
    blend = np.maximum(layer * fade[..., None] + base * through[..., None], 0)
    if base.shape[2] == 4:
        blend[..., :3] /= np.maximum(blend[..., 3:], 1e-4)
    return np.clip(np.rint(255 * blend), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("channels", [3, 4])
def test_laying_over_does_what_its_slow_twin_does(channels: int, dense: bool) -> None:
    rng = np.random.default_rng(3)
    # Parts of larger pictures, as the crop's window cuts them; coverage a little above 1, too.
    alpha = np.float32(rng.uniform(0, 1.05, (40, 50)) * (rng.random((40, 50)) < 0.7))[3:33, 5:45]
    rgb = np.float32(rng.uniform(-0.05, 1.05, (40, 50, 3)))[3:33, 5:45] * alpha[..., None]
    alpha[:4], alpha[:, 30:] = 0, 0
    fade = np.float32(rng.uniform(0.2, 1, (30, 40)))
    base = rng.integers(0, 256, (30, 40, channels), np.uint8)
    picture = np.full((60, 90, channels), 7, np.uint8)
    out = picture[10:40, 20:60]
    out[:] = base
    rows, columns = composite_over(rgb, alpha, fade, out, dense=dense)
    covered = alpha > 0
    np.testing.assert_array_equal(out[~covered], base[~covered])
    wanted = laid_over_slowly(rgb, alpha, fade, base, dense)
    difference = np.abs(out[covered].astype(int) - wanted[covered])
    assert difference.max() <= 1 and difference.mean() < 0.001  # rounding of halves
    picture[10:40, 20:60] = 7
    assert (picture == 7).all()
    y, x = np.nonzero(covered)
    assert (rows.start, rows.stop) == (y.min(), y.max() + 1)
    assert (columns.start, columns.stop) == (x.min(), x.max() + 1)


def test_enlarging_leaves_no_line_where_a_head_like_its_surroundings_ends() -> None:
    """Cubic enlarging overshoots at the border, coverage and premultiplied colour alike."""
    grey = np.full((64, 64, 4), 128, np.uint8)
    grey[..., 3] = 255
    picture = Picture(grey, np.full((64, 64, 3), 128 / 255, np.float32))
    compositor = Compositor(picture, size=150)
    alpha = np.zeros((64, 64), np.float32)
    alpha[20:44, 16:48] = 1
    frame = compositor.frame(np.repeat(alpha[..., None] * (128 / 255), 3, -1), alpha)
    assert np.abs(frame.astype(int) - 128).max() <= 1


def test_nothing_laid_over_is_an_empty_box() -> None:
    out = np.full((5, 6, 3), 7, np.uint8)
    empty = np.zeros((5, 6, 3), np.float32)
    ones = np.ones((5, 6), np.float32)
    rows, columns = composite_over(empty, empty[..., 0], ones, out)
    assert out[rows, columns].size == 0 and (out == 7).all()


@pytest.mark.parametrize("bg", ["keep", "transparent"])
def test_a_canvas_that_is_used_again_shows_the_last_head_alone(bg: str) -> None:
    compositor = Compositor(torso_scene(), bg=bg)
    strip = np.zeros((compositor.height, 3 * compositor.width, 4 if bg != "keep" else 3), np.uint8)
    part = strip[:, compositor.width : 2 * compositor.width]
    canvas = compositor.canvas(part)
    nothing = np.zeros((64, 64, 3), np.float32), np.zeros((64, 64), np.float32)
    for head in (blob(64, 20, 20, 9), blob(64, 40, 44, 12), nothing, blob(64, 30, 30, 5)):
        compositor.frame(*head, canvas)
        np.testing.assert_array_equal(part, compositor.frame(*head))
    assert not strip[:, : compositor.width].any() and not strip[:, 2 * compositor.width :].any()


def test_frames_are_independent_arrays() -> None:
    compositor = Compositor(portrait())
    first = compositor.frame(*blob(64, 20, 30, 9))
    kept = first.copy()
    compositor.frame(*blob(64, 45, 40, 9))[:] = 0
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(compositor.frame(*blob(64, 20, 30, 9)), kept)


@pytest.mark.parametrize(
    "place",
    [Place(-20, -15, 64), Place(90, 60, 64), Place(-30, -30, 200), Place(300, 10, 64)],
    ids=["top left", "bottom right", "around", "outside"],
)
def test_crops_that_reach_beyond_the_picture(place: Place) -> None:
    scene = portrait(place=place)
    side = int(place.crop_side)
    frame = Compositor(scene).frame(*blob(side, side // 2, side // 2, side // 4))
    assert frame.shape == (96, 128, 3)
    if place.crop_x < 128:
        assert (frame[..., 0] > frame[..., 1].astype(int) + 100).any()
    else:
        np.testing.assert_array_equal(frame, scene.source[..., :3])


def test_head_fades_where_the_crop_cuts_it() -> None:
    scene = portrait(place=Place(30, 10, 64))
    rgb, alpha = np.full((64, 64, 3), 0.5, np.float32), np.ones((64, 64), np.float32)
    frame = Compositor(scene).frame(rgb, alpha)
    np.testing.assert_array_equal(frame[10, 30:94], scene.source[10, 30:94, :3])
    assert (np.abs(frame[30:50, 50:70].astype(int) - 128) <= 1).all()


@pytest.mark.parametrize(("size", "pixels"), [(256, 64), (64, 64), (128, 40), (200, 100)])
def test_other_sizes_keep_the_place(size: int, pixels: int) -> None:
    """A head at the crop's centre lands at that place of the frame, at every scale."""
    source = np.full((96, 128, 4), 255, np.uint8)
    place = Place(40, 10, 64)
    scene = Picture(source, np.ones((pixels, pixels, 3), np.float32), place)
    compositor = Compositor(scene, size=size)
    centre = pixels // 2
    frame = compositor.frame(*blob(pixels, centre, centre, pixels // 5))
    assert frame.shape == (compositor.height, compositor.width, 3)
    assert max(frame.shape[:2]) == size
    y, x = np.nonzero(frame[..., 1] < 128)
    scale = size / 128
    offset = 0.5 * 64 / pixels  # the disc's centre is a pixel's centre
    assert abs(x.mean() + 0.5 - (40 + 32 + offset) * scale) <= 1.0
    assert abs(y.mean() + 0.5 - (10 + 32 + offset) * scale) <= 1.0
    still = Compositor(scene, size=size).frame(*blob(pixels, 5, 5, 0))
    corner = np.s_[: int(8 * scale), : int(30 * scale)]
    np.testing.assert_array_equal(frame[corner], still[corner])


def test_avatar_resolution_needs_no_resampling() -> None:
    """An avatar built for 1024 pixels from a larger picture: crop pixels are output pixels."""
    place = Place(1003, 517, 1711)
    pixels = round(1711 * 1024 / 4000)
    window = CropWindow(place, pixels, (4000, 3000), output_size(4000, 3000))
    assert window.exact
    image = np.random.default_rng(0).random((pixels, pixels)).astype(np.float32)
    np.testing.assert_array_equal(window.cut(image), image)


def test_output_sizes_are_even_and_limited() -> None:
    assert output_size(4000, 3000) == (1024, 768)
    assert output_size(333, 251) == (332, 252)
    assert output_size(100, 200, 512) == (256, 512)
    assert output_size(5000, 3) == (1024, 2)


def torso_scene() -> Picture:
    scene = portrait()
    scene.torso = np.zeros((96, 128), np.uint8)
    scene.torso[60:] = 255
    return scene


def test_colour_behind_torso_and_head() -> None:
    scene = torso_scene()
    frame = Compositor(scene, bg="#1e90ff").frame(*blob(64, 20, 20, 9))
    assert (frame[:5, :5] == [0x1E, 0x90, 0xFF]).all()
    assert (frame[30, 60] == [230, 26, 26]).all()  # 0.9, 0.1, 0.1 of 255
    np.testing.assert_array_equal(frame[70:], scene.source[70:, :, :3])


def test_short_colour_and_bad_colour() -> None:
    frame = Compositor(torso_scene(), bg="#0f8").frame(*blob(64, 20, 20, 9))
    assert (frame[0, 0] == [0, 255, 0x88]).all()
    with pytest.raises(UsageError, match="not a colour"):
        Compositor(torso_scene(), bg="#12345")


def test_picture_behind(tmp_path: Path) -> None:
    path = tmp_path / "behind.png"
    behind = np.zeros((50, 200, 3), np.uint8)
    behind[:, 67:133] = (0, 200, 0)  # the middle third in BGR: what a 4:3 cut of it shows
    cv2.imwrite(str(path), behind)
    frame = Compositor(torso_scene(), bg=str(path)).frame(*blob(64, 20, 20, 9))
    assert np.abs(frame[10, 5:120].astype(int) - [0, 200, 0]).max() <= 2
    with pytest.raises(InputError):
        Compositor(torso_scene(), bg=str(tmp_path / "absent.png"))


@pytest.mark.parametrize("size", [(2, 32_000), (32_000, 1), (40, 30), (1, 1)])
def test_a_background_of_any_shape_fills_the_frame(tmp_path: Path, size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, (10, 60, 200))
    picture.save(tmp_path / "bg.png")
    frame = Compositor(torso_scene(), bg=str(tmp_path / "bg.png")).frame(*blob(64, 20, 20, 9))
    assert frame.shape == (96, 128, 3)
    np.testing.assert_array_equal(frame[0, 0], [10, 60, 200])


def test_transparent_frames_have_straight_alpha() -> None:
    scene = torso_scene()
    compositor = Compositor(scene, bg="transparent")
    frame = compositor.frame(*blob(64, 20, 20, 9))
    assert compositor.transparent and frame.shape == (96, 128, 4)
    assert (frame[:5, :5, 3] == 0).all()
    assert (frame[70:, :, 3] == 255).all()
    rim = (frame[10:74, 40:104, 3] > 40) & (frame[10:74, 40:104, 3] < 200)
    rim[50:] = False
    assert rim.any()
    assert np.abs(frame[10:74, 40:104, :3][rim].astype(int) - [230, 26, 26]).max() <= 3
    again = compositor.frame(*blob(64, 30, 20, 9))
    np.testing.assert_array_equal(frame[70:], again[70:])


def test_other_backgrounds_need_the_torso() -> None:
    with pytest.raises(UsageError, match="torso"):
        Compositor(portrait(), bg="#000000")


def test_transparent_pictures_become_white() -> None:
    scene = portrait()
    scene.source[..., 3] = 0
    frame = Compositor(scene).frame(*blob(64, 20, 20, 9))
    assert (frame[:5] == 255).all()


def test_strip_places_views_side_by_side() -> None:
    compositor = Compositor(portrait())
    heads = [blob(64, x, 30, 9) for x in (20, 30, 40)]
    strip = compositor.strip(heads)
    assert strip.shape == (96, 3 * 128, 3)
    np.testing.assert_array_equal(strip[:, 128:256], compositor.frame(*heads[1]))


def test_torso_matte_is_the_person_without_the_head() -> None:
    from talkcli.face.topology import FACE_OVAL
    from talkcli.layers.torso import torso_matte

    size, crop = 240, (60.0, 20.0, 120.0)
    alpha = np.zeros((size, size), np.float32)
    cv2.ellipse(alpha, (120, 80), (24, 32), 0, 0, 360, 1.0, -1)
    alpha[80:150, 110:130] = 1
    cv2.ellipse(alpha, (120, 190), (90, 60), 0, 180, 360, 1.0, -1)
    alpha[190:] = alpha[189]
    picture = np.full((size, size, 4), 180, np.uint8)
    picture[..., 3] = np.round(255 * alpha)
    points = np.full((478, 3), [120, 80, 0], np.float32)
    turns = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
    points[list(FACE_OVAL), 0] += 20 * np.sin(turns)
    points[list(FACE_OVAL), 1] -= 22 * np.cos(turns)
    crop_alpha = cv2.resize(alpha[20:140, 60:180], (240, 240), interpolation=cv2.INTER_LINEAR)
    rows = (np.arange(240) - 170) / 50
    weight = np.repeat(np.clip(1 - rows, 0, 1)[:, None], 240, 1).astype(np.float32)
    torso = torso_matte(picture, points, crop, crop_alpha, weight)
    assert torso.shape == (size, size)
    assert torso[:100].max() == 0  # the head
    assert (torso[150:, 60:180] > 250).all()
    assert torso[125, 120] > 200  # the neck's middle
    assert torso[:, :20].max() == 0  # nothing beside the shoulders
