"""Skin that the source shows badly: the sides of necks, and cheeks under hair."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.engines.portrait.build.geometry import HeadGeometry, head_geometry
from talkcli.engines.portrait.build.neck import _like_lit_skin
from talkcli.engines.portrait.build.rim import neck_cosine
from talkcli.engines.portrait.build.symmetry import _own_skin, blend_colors_with_mirror
from talkcli.face.model import FaceModel

SIDE, TEXELS = 320, 160
SKIN = np.array([0.75, 0.55, 0.45], np.float32)


@pytest.fixture(scope="module")
def with_neck() -> HeadGeometry:
    """A frontal template whose neck goes down to the lower edge, 10 cm wide."""
    model = FaceModel.load()
    points = model.vertices * (9.0, -9.0, -9.0) + (SIDE / 2, 130.0, 0.0)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    head = ((x - SIDE / 2) / 85) ** 2 + ((y - 115) / 112) ** 2 < 1
    neck = (np.abs(x - SIDE / 2) < 45) & (y > 140)
    return head_geometry(points, (head | neck).astype(np.float32), model)


def test_outline_of_a_neck_lies_near_its_axis(with_neck: HeadGeometry) -> None:
    row = 255  # 4 cm below the chin
    points = with_neck.pose.to_head(with_neck.surface(with_neck.depth)[row])
    left, middle, right = points[SIDE // 2 - 44], points[SIDE // 2], points[SIDE // 2 + 43]
    assert middle[2] > left[2] + 2.5
    assert -4 < left[2] < -1.8
    assert left[2] == pytest.approx(right[2], abs=0.2)


def test_bare_necks_stay_when_they_turn_and_collars_do_not(with_neck: HeadGeometry) -> None:
    rgb = np.tile(SKIN, (SIDE, SIDE, 1))
    rgb[280:] = (0.2, 0.3, 0.8)
    unsure = np.zeros((SIDE, SIDE), np.float32)
    cosine = neck_cosine(rgb, with_neck, unsure)
    assert cosine[255, SIDE // 2] > 0.3
    assert cosine[295:].max() < 0.01
    assert not cosine[with_neck.on_face].any() or cosine[with_neck.on_face].max() < 0.1
    assert neck_cosine(rgb, with_neck, unsure + 1).max() == 0


def textured(size: int = TEXELS) -> tuple[np.ndarray, np.ndarray]:
    """Plain skin that is seen in a disc, and how well it is seen."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    seen = np.clip((0.4 - np.hypot(x, y)) / 0.05, 0, 1).astype(np.float32)
    return np.tile(SKIN, (size, size, 1)), seen


def test_hair_over_a_temple_is_not_drawn_out_over_the_cheek() -> None:
    source, seen = textured()
    strand = np.zeros(seen.shape, bool)
    strand[60:80, 112:] = True
    source[strand] = 0.25 * SKIN
    own, plain = _own_skin(source, seen, np.zeros_like(seen))
    assert own[70, 136] < 0.1
    assert own[70, 23] > 0.9
    # Brows are at the rim of a turned face, too, and its other side is seen better.
    assert _own_skin(source, seen, np.full_like(seen, 0.3))[0].min() > 0.9
    covered = np.float32(seen > 0)
    made = blend_colors_with_mirror(source, seen * own, covered * own, wrap=False, plain=plain)
    np.testing.assert_allclose(made[70, [8, 150]], [SKIN, SKIN], atol=0.08)


def test_faces_may_darken_towards_their_rim() -> None:
    source, seen = textured()
    y, x = (np.mgrid[:TEXELS, :TEXELS] + 0.5) / TEXELS - 0.5
    from_rim = np.clip(0.4 - np.hypot(x, y), 0, 0.12) / 0.12
    shade = np.exp(0.5 * (from_rim - 1))[..., None].astype(np.float32)
    own, _ = _own_skin(source * shade, seen, np.zeros_like(seen))
    assert own.min() > 0.9


def test_a_brighter_neck_has_the_hue_of_skin_and_a_white_collar_has_not() -> None:
    assert _like_lit_skin(np.minimum(1.25 * SKIN, 1), SKIN)
    assert not _like_lit_skin(np.full(3, 0.9, np.float32), SKIN)
    assert not _like_lit_skin(0.3 * SKIN, SKIN)
