"""The inside of the mouth and the light on the lips."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.mouth_colors import mouth_colors
from talkcli.engines.portrait.checkpoint import load_avatar, save_avatar
from talkcli.engines.portrait.lips import lip_side
from talkcli.engines.portrait.mouth_light import (
    CONTACT_CM,
    MouthLight,
    find_contact_shade,
    source_pixels,
)
from talkcli.engines.portrait.splats import Layer, RestSplats
from talkcli.face.topology import INNER_LOWER, INNER_UPPER, LIP_LOWER, LIP_UPPER
from talkcli.types import MotionFrame
from tests.support.portraits import as_picture, motion_of, rebuilt, shown

LIGHT_SKIN, DARK_SKIN = np.array([0.88, 0.66, 0.56]), np.array([0.36, 0.25, 0.18])
PIXEL_CM = 0.05


@pytest.fixture(scope="module")
def closed(avatar) -> PortraitAvatar:
    """The same face, photographed with its mouth closed."""
    return rebuilt(as_picture(shown(avatar, MotionFrame.neutral())[0]))


def opened(jaw: float) -> MotionFrame:
    return motion_of(jawOpen=jaw)


def spread(color: np.ndarray) -> np.ndarray:
    return np.tile(color, (9, 1)) + np.linspace(-0.05, 0.05, 9)[:, None]


def test_teeth_follow_the_light_only_in_part() -> None:
    light, dark = mouth_colors(spread(LIGHT_SKIN)), mouth_colors(spread(DARK_SKIN))
    assert dark.enamel.mean() < light.enamel.mean()
    assert dark.enamel.mean() / DARK_SKIN.mean() > 1.2 * light.enamel.mean() / LIGHT_SKIN.mean()
    # Soft parts are lit as the skin is.
    ratio = dark.tongue.mean() / light.tongue.mean()
    assert ratio == pytest.approx(DARK_SKIN.mean() / LIGHT_SKIN.mean(), rel=0.01)


@pytest.mark.parametrize("skin", [LIGHT_SKIN, DARK_SKIN, np.array([1.0, 0.86, 0.82])])
def test_inside_is_ordered_from_teeth_to_throat(skin: np.ndarray) -> None:
    colors = mouth_colors(spread(skin))
    parts = (colors.enamel, colors.lower_enamel, colors.tongue, colors.cheek, colors.throat)
    brightness = [part.mean() for part in parts]
    assert brightness == sorted(brightness, reverse=True)
    for part in parts:
        assert part.min() > 0 and part.max() <= 0.97
        # Warm, never green or blue beside skin.
        assert part[0] > part[1] and part[0] > part[2]


def test_grey_pictures_have_grey_mouths() -> None:
    colors = mouth_colors(np.repeat(np.linspace(0.4, 0.7, 9)[:, None], 3, 1))
    assert np.ptp(colors.enamel) == 0 and np.ptp(colors.tongue) == 0


def test_blue_light_falls_on_teeth_too() -> None:
    warm = mouth_colors(spread(np.array([0.80, 0.55, 0.40]))).enamel
    cold = mouth_colors(spread(np.array([0.60, 0.57, 0.58]))).enamel
    assert cold[2] / cold[0] > warm[2] / warm[0]


def painted_lips(avatar: PortraitAvatar, level: float) -> tuple[RestSplats, np.ndarray, np.ndarray]:
    """Even lips, darker by ``1 - level`` beside their line; also their sides and distances."""
    splats = avatar.splats
    side = np.where(splats.layers == Layer.SKIN, lip_side(splats.vertices, splats.weights), 0)
    pixels = source_pixels(splats.positions, avatar.viewmat, avatar.K)
    rows = pixels[:, 0].astype(float)
    upper, lower = side > 0, side < 0
    # The line lies between the lowest upper and the highest lower splat of each column.
    distance = np.full(len(splats), np.inf)
    for own, other, down in ((upper, lower, 1), (lower, upper, -1)):
        for index in np.flatnonzero(own):
            facing = other & (pixels[:, 1] == pixels[index, 1])
            if facing.any():
                distance[index] = (down * (rows[facing] - rows[index])).min()
    colors = splats.colors.copy()
    colors[side != 0] = 0.6
    colors[(side != 0) & (distance < 0.15 / PIXEL_CM)] = 0.6 * level
    return replace(splats, colors=colors), side, distance


def reach_cm(avatar: PortraitAvatar) -> float:
    """What is six pixels on these small heads, as it would be on large ones."""
    pixel_cm = float(np.linalg.norm(avatar.viewmat[:3, 3]) / avatar.K[0, 0])
    return CONTACT_CM * pixel_cm / PIXEL_CM


def test_lips_lose_each_others_shade_as_they_part(closed) -> None:
    splats, side, distance = painted_lips(closed, 0.5)
    contact = find_contact_shade(splats, closed.viewmat, closed.K, reach_cm(closed))
    light = MouthLight(splats, closed.vertices, contact)
    at_line = distance < 2
    means = []
    for jaw in (0.0, 0.15, 0.5):
        colors = splats.colors.copy()
        light.apply(colors, closed.vertices + closed.displacement(opened(jaw)))
        lit = (colors - splats.colors).mean(1)
        means.append([lit[at_line & (side == sign)].mean() for sign in (1, -1)])
        assert np.all(lit[(splats.layers == Layer.SKIN) & (side == 0)] == 0)
    upper, lower = np.array(means).T
    assert upper[0] == lower[0] == 0  # touching lips keep the source's colours
    assert lower[0] < lower[1] < lower[2] and lower[2] > 0.08
    assert 0 < upper[2] < lower[2]


def test_saved_lips_lose_their_shade_too(closed, tmp_path) -> None:
    assert len(closed.contact.index) and closed.contact.shade.max() > 0.12
    save_avatar(closed, tmp_path)
    loaded = load_avatar(tmp_path)
    wide = opened(0.8)
    built, stored = (a.pose(wide).colors - a.splats.colors for a in (closed, loaded))
    # Half floats: colours near 1 are stored to .0005, and light scales them.
    np.testing.assert_allclose(stored, built, atol=1e-3)
    assert np.abs(built[closed.contact.index]).max() > 0.12


def test_avatars_of_schema_1_get_their_shade_back(avatar, tmp_path) -> None:
    save_avatar(avatar, tmp_path)
    tensors = load_file(tmp_path / "avatar.safetensors")
    kept = {name: array for name, array in tensors.items() if not name.startswith("contact.")}
    kept["splats.seen_cosine"] = kept.pop("splats.source_cosine")
    save_file(kept, tmp_path / "avatar.safetensors")
    # Then the header lay beside the arrays.
    header = {"schema": 1, "engine": "portrait", "dynamic": avatar.dynamic}
    header |= {"frame": asdict(avatar.frame), "splats": len(avatar.splats)}
    (tmp_path / "avatar.json").write_text(json.dumps(header))
    found = load_avatar(tmp_path).contact
    shades = (np.zeros_like(avatar.splats.colors) for _ in range(2))
    built, again = shades
    built[avatar.contact.index], again[found.index] = avatar.contact.shade, found.shade
    # Found again from colours in half floats.
    np.testing.assert_allclose(again, built, atol=2e-3)


def test_even_lips_have_no_shade_and_the_source_keeps_its_colours(avatar) -> None:
    avatar.pose(opened(0.4))
    assert np.any(avatar.pose(opened(0.4)).colors != avatar.splats.colors)
    shown = avatar.pose(None)
    skin = avatar.splats.layers == Layer.SKIN
    np.testing.assert_array_equal(shown.colors[skin], avatar.splats.colors[skin])
    lips = replace(avatar.splats, colors=np.full_like(avatar.splats.colors, 0.5))
    contact = find_contact_shade(lips, avatar.viewmat, avatar.K, reach_cm(avatar))
    assert np.abs(contact.shade).max(initial=0) < 1e-5


def test_what_shows_between_parted_lips_is_not_the_lips(avatar, closed) -> None:
    assert not np.any(closed.splats.layers == Layer.PICTURE_MOUTH)
    ajar = rebuilt(as_picture(shown(avatar, opened(0.25))[0]))
    inside = ajar.splats.layers == Layer.PICTURE_MOUTH
    assert inside.sum() > 50  # 74
    assert np.all(ajar.splats.weights[inside] == 0)
    # Nothing of what is not teeth is left on lips that have moved away from where they were.
    dark = ajar.splats.layers == Layer.PICTURE_MOUTH
    assert ajar.pose(opened(0.6)).opacities[dark].max() < 0.05


def test_teeth_stand_behind_both_closed_lips(avatar) -> None:
    neutral = avatar.vertices + avatar.neutral_shift
    front = neutral[[*LIP_UPPER, *LIP_LOWER], 2].max()
    for layer in (Layer.UPPER_TEETH, Layer.LOWER_TEETH, Layer.TONGUE):
        positions = avatar.pose(MotionFrame.neutral()).means
        assert positions[avatar.splats.layers == layer, 2].max() < front - 0.4


def test_no_completed_skin_lies_between_the_lips_of_a_frontal_face(avatar) -> None:
    """It showed through lips that closed, and as a grey block between parted ones."""
    inner = avatar.vertices[[*INNER_UPPER, *INNER_LOWER]]
    completed = avatar.splats.positions[avatar.splats.layers == Layer.COMPLETION]
    away = np.linalg.norm(completed[:, None] - inner, axis=2)
    assert away.min() > 0.25  # cm; .06 when the lips' rim was completed
