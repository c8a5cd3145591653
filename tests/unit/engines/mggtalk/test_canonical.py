"""Places of splats on the mean face, and the maps of a source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from talkcli.engines.mggtalk.canonical import (
    INNER_SHEET,
    MAP_CHANNELS,
    SIDE,
    canonical_splats,
    source_maps,
)
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.splats import Layer
from tests.support.portraits import motion_of


def test_faces_lie_in_the_middle_and_the_back_takes_no_offset(avatar: PortraitAvatar) -> None:
    splats, layers = canonical_splats(avatar), avatar.splats.layers
    face = splats.share > 0.9
    assert np.abs(splats.place[face]).max() < 1
    # The subject's left is to the right, the forehead above the mouth.
    left = face & (avatar.splats.positions[:, 0] > 3)
    assert splats.place[left, 0].min() > 0
    teeth = splats.place[layers == Layer.UPPER_TEETH]
    lids = splats.place[layers == Layer.LID]
    assert teeth[:, 1].min() > lids[:, 1].max()
    assert not splats.share[layers == Layer.SHELL].any()
    assert not splats.share[avatar.splats.head_weight < 0.2].any()
    assert set(layers[splats.sheet == INNER_SHEET]) >= {Layer.EYE, Layer.TONGUE, Layer.MOUTH_BAG}


def test_a_source_with_another_expression_lies_in_the_same_places(avatar: PortraitAvatar) -> None:
    shift = avatar.displacement(motion_of(jawOpen=0.5, mouthSmileLeft=0.5))
    rest = avatar.splats
    carried = np.einsum("nk,nkd->nd", rest.weights, shift[rest.vertices]).astype(np.float32)
    talking = replace(
        avatar,
        splats=replace(rest, positions=rest.positions + carried),
        vertices=avatar.vertices + shift,
    )
    bound = (rest.weights.sum(1) > 0.99) & ~np.isin(rest.layers, (Layer.EYE, Layer.IRIS))
    moved = canonical_splats(talking).place - canonical_splats(avatar).place
    # Half floats round weights to 1e-3, of shifts of 2 cm; the map is 20 cm high.
    assert np.abs(moved[bound]).max() < 2e-3


def test_maps_show_what_the_source_shows(avatar: PortraitAvatar) -> None:
    maps = source_maps(avatar, canonical_splats(avatar))
    assert maps.shape == (MAP_CHANNELS, SIDE, SIDE) and maps.dtype == np.float32
    assert np.isfinite(maps).all() and np.abs(maps).max() < 20
    colors, known = maps[:3] / 4 + 0.5, maps[13]
    assert known[SIDE // 2, SIDE // 2] > 0.5
    # Skin is redder than blue; the forehead's middle is skin.
    forehead = colors[:, int(0.2 * SIDE), SIDE // 2]
    assert forehead[0] > forehead[2] > 0.1
    np.testing.assert_allclose(maps[-2, 3], np.linspace(-1, 1, SIDE), atol=1e-6)
