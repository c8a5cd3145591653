"""What goes on from the seen part of a head: light, necks, rims, and outlines that give way."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.engines.portrait.build.continued_light import continued_light
from talkcli.engines.portrait.build.front import _aside
from talkcli.engines.portrait.build.geometry import (
    HeadGeometry,
    head_geometry,
    place_landmarks,
)
from talkcli.engines.portrait.build.images import inside_distance
from talkcli.engines.portrait.build.neck import Neck, continued_neck
from talkcli.engines.portrait.build.rim import rim_tint
from talkcli.engines.portrait.build.symmetry import blend_with_mirror
from talkcli.face.model import FaceModel
from talkcli.imaging import smoothstep

ROWS, COLUMNS, SIDE = 60, 384, 240
SKIN = np.array([0.75, 0.55, 0.45], np.float32)


def geometry_of_template() -> HeadGeometry:
    """A frontal template in the middle of a large head."""
    model = FaceModel.load()
    points = model.vertices * (9.0, -9.0, -9.0) + (SIDE / 2, 140.0, 0.0)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    head = ((x - SIDE / 2) / 85) ** 2 + ((y - 125) / 112) ** 2 < 1
    return head_geometry(points, head.astype(np.float32), model)


def test_light_leaves_a_region_without_a_step_and_ends_at_its_level() -> None:
    texture = np.full((ROWS, COLUMNS, 3), 0.6, np.float32)
    weight = np.zeros((ROWS, COLUMNS), np.float32)
    weight[:, 150:234] = 1
    away = np.maximum(0, np.abs(np.arange(COLUMNS) - 191.5) - 42).astype(np.float32)
    away = np.tile(away, (ROWS, 1))
    made = continued_light(texture * weight[..., None], weight, np.full(3, 0.2), away, 0.15)
    # 2 columns of 384 away, and beyond .15 of them.
    np.testing.assert_allclose(made[:, [148, 235]], 0.6, atol=0.02)
    np.testing.assert_allclose(made[:, [0, 80, 300, -1]], 0.2, atol=0.01)
    assert (np.diff(made[30, 234:300, 0]) <= 1e-4).all()


def test_collars_are_foreign_to_bare_skin_only() -> None:
    texture = np.tile(0.8 * SKIN, (ROWS, COLUMNS, 1))
    texture[30:50, 100:140] = 0.95
    for bare, wanted in ((1.0, True), (0.0, False)):
        share = np.full((ROWS, COLUMNS), bare, np.float32)
        neck = Neck(texture, share, 1 - share, SKIN)
        assert (neck.foreign(texture)[30:50, 100:140].min() > 0.9) == wanted
        assert neck.foreign(texture)[:20].max() == 0


def test_skin_goes_on_around_a_neck_and_not_over_its_collar() -> None:
    plain = np.tile(0.6 * SKIN, (ROWS, COLUMNS, 1))
    plain[40:] = 0.1
    cover = np.zeros((ROWS, COLUMNS), np.float32)
    cover[40:] = 1
    seen = np.zeros((ROWS, COLUMNS), np.float32)
    seen[:30, 150:234] = 1
    texture = np.where(seen[..., None] > 0, 0.75 * SKIN, plain).astype(np.float32)
    made = continued_neck(texture, Neck(plain, 1 - cover, cover, SKIN), seen)
    # Beside what is seen as bright as that, and behind as plain.
    np.testing.assert_allclose(made[15, 146], 0.75 * SKIN, atol=0.03)
    np.testing.assert_allclose(made[15, :40], plain[15, :40], atol=0.02)
    np.testing.assert_allclose(made[42:], plain[42:], atol=1e-6)


def test_a_gap_in_a_strange_rim_is_bridged() -> None:
    """A dark rim with a gap as wide as a lobe: trusted there, it would stay as a bridge."""
    geometry = geometry_of_template()
    x = np.arange(SIDE)[None] + 0 * np.arange(SIDE)[:, None]
    y = x.T
    rgb = np.tile(SKIN, (SIDE, SIDE, 1))
    dark = (np.abs(x - SIDE / 2) > 0.42 * np.ptp(geometry.landmarks[:468, 0])) & geometry.on_face
    gap = dark & (np.abs(y - 140) < 0.025 * geometry.face_height)
    rgb[dark & ~gap] *= 0.4
    rgb[gap] = SKIN
    tint = rim_tint(rgb, geometry)
    assert tint[dark & ~gap & (np.abs(y - 140) < 12)].mean() > 0.8
    assert tint[gap].mean() > 0.7


def test_outlines_below_an_ear_face_aside_and_chins_down() -> None:
    geometry = geometry_of_template()
    down = np.zeros((SIDE, SIDE, 3), np.float32)
    down[..., 1] = 1
    turned = _aside(down, geometry)
    ears = (geometry.neck_across > 1.05) & (np.abs(geometry.below_jaw) < 0.1)
    left = np.arange(SIDE)[None] < SIDE / 2
    assert turned[ears & left][:, 0].max() < -0.99 and turned[ears & ~left][:, 0].min() > 0.99
    chin = geometry.neck_across < 0.7
    np.testing.assert_array_equal(turned[chin], down[chin])


def test_a_cheek_in_shadow_goes_on_in_shadow() -> None:
    """Light from one side: a hidden rim is as dark as the cheek."""
    columns = np.linspace(-1, 1, 128)
    lit = np.tile(np.log(0.5) - 0.5 * columns, (128, 1)).astype(np.float32)[..., None]
    # The right rim is hidden; the left one, which is seen, is e times as bright.
    seen = np.tile(1 - smoothstep((columns - 0.6) / 0.2), (128, 1)).astype(np.float32)
    made = blend_with_mirror(lit, seen, np.float32(seen > 0), wrap=False)[24, :, 0]
    # Off by .53 if the mirror image keeps its own light.
    assert np.abs(made[105:] - lit[24, 105:, 0]).max() < 0.3


def test_strands_over_a_cheek_are_no_face_and_beards_and_brows_are() -> None:
    geometry = geometry_of_template()
    fh, dark = geometry.face_height, np.array([0.12, 0.08, 0.06])
    y, x = np.mgrid[:SIDE, :SIDE]
    rgb = np.tile(SKIN, (SIDE, SIDE, 1))
    edge = geometry.landmarks[:468, 0].min()
    eyes = np.nonzero(geometry.eye_mask())
    # From the rim to .16 face heights inside it, below the eye and above the mouth.
    strand = (x < edge + 0.16 * fh) & (np.abs(y - eyes[0].max() - 0.23 * fh) < 0.03 * fh)
    brow = (x < edge + 0.2 * fh) & (np.abs(y - eyes[0].min() + 0.08 * fh) < 0.02 * fh)
    beard = y > geometry.landmarks[[61, 291], 1].mean() + 0.02 * fh
    rgb[strand | brow | beard] = dark
    tint = rim_tint(rgb.astype(np.float32), geometry)
    inner = inside_distance(geometry.on_face) > 0.1 * fh
    assert tint[strand & inner].min() > 0.9
    assert tint[(brow | beard) & inner].max() < 0.1


@pytest.mark.parametrize(("deeper", "kept"), [(0.9, 1.0), (1.5, 0.5)])
def test_long_noses_are_shortened_by_half_of_their_excess(deeper: float, kept: float) -> None:
    """A template whose nose alone stands off more, or less, from its cheeks."""
    model = FaceModel.load()
    points = model.vertices.astype(float).copy()
    base = points[[116, 345, 117, 346, 98, 327], 2].mean()
    nose = [4, 1, 5, 195]
    points[nose, 2] = base + deeper * (points[nose, 2] - base)
    points = points * (9.0, -9.0, -9.0) + (SIDE / 2, 140.0, 0.0)
    camera, pose, vertices = place_landmarks(points.copy(), SIDE, model, 1.0)
    head = pose.to_head(vertices)
    stands_off = head[4, 2] - head[[116, 345, 117, 346, 98, 327], 2].mean()
    wanted = 1 + kept * (deeper - 1)
    # The pose is fitted to the nose as well, and its distance makes it a little smaller.
    assert stands_off / (model.vertices[4, 2] - base) == pytest.approx(wanted, abs=0.04)
    # The picture is the same.
    np.testing.assert_allclose(camera.project(vertices), points[:, :2], atol=1e-3)
