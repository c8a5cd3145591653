"""Hair behind the head: as textured as what is seen, and strands that the source never shows."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.engines.portrait.build.directions import Measured
from talkcli.engines.portrait.build.hair import (
    Crown,
    HairSurface,
    continued_crown,
    crown_of,
    strand_group,
)

ROWS, COLUMNS, PX_PER_CM = 60, 128, 12.0


def striped() -> np.ndarray:
    """``[rows, columns, 3]`` hair of 0.3 with strands down the columns."""
    random = np.random.default_rng(4)
    strands = random.normal(0, 0.08, (1, COLUMNS, 1)) + random.normal(0, 0.01, (ROWS, COLUMNS, 1))
    return np.clip(0.3 + np.repeat(strands, 3, 2), 0, 1).astype(np.float32)


def front() -> np.ndarray:
    """Directions within 60° of the front."""
    mask = np.zeros((ROWS, COLUMNS), bool)
    mask[:, COLUMNS // 2 - 22 : COLUMNS // 2 + 22] = True
    return mask


def crown(seen: np.ndarray) -> Crown:
    """A crown whose hair is seen in front, and as well as told."""
    return Crown(front(), front(), seen.astype(np.float32))


def continued(texture: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return continued_crown(texture, crown(seen), ~front())


def test_continued_hair_has_strands_and_no_cape() -> None:
    texture, source = striped(), front()
    made = continued(texture * source[..., None], source)
    behind = made[:, np.r_[0:20, -20:0]]
    assert behind.std(1).mean() > 0.4 * texture[:, source[0]].std(1).mean()
    # Darker, but not black: one sixth at most.
    assert 0.75 < behind.mean() / texture[source].mean() < 1.0


def test_a_dark_rim_does_not_darken_the_back() -> None:
    texture, source = striped(), front()
    slope = np.ones(COLUMNS, np.float32)
    left = COLUMNS // 2 - 22
    slope[left : left + 8] = np.linspace(0.35, 1, 8)
    made = continued(texture * slope[None, :, None], source)
    assert made[:, :10].mean() > 0.6 * texture[source].mean()


def test_light_goes_on_from_the_outline() -> None:
    """Hair lit from one side: no step at either border, and the back between the two."""
    texture, source = np.full((ROWS, COLUMNS, 3), 0.3, np.float32), front()
    left, right = COLUMNS // 2 - 22, COLUMNS // 2 + 22
    texture *= np.linspace(0.5, 1.5, COLUMNS, dtype=np.float32)[None, :, None]
    made = continued(texture * source[..., None], source)
    for beside, seen in (
        (made[:, left - 1], texture[:, left]),
        (made[:, right], texture[:, right - 1]),
    ):
        # The light's grid blurs 3 columns, of .008 each.
        np.testing.assert_allclose(beside.mean(), seen.mean(), rtol=0.12)
    assert texture[0, left, 0] * 0.8 < made[:, :4].mean() < texture[0, right, 0]


def test_hair_that_faces_the_camera_is_no_measure_of_the_back() -> None:
    """A bright crown in the middle of dark hair."""
    texture, source = np.full((ROWS, COLUMNS, 3), 0.15, np.float32), front()
    seen = np.where(source, 0.4, 0.0)
    middle = np.s_[:, COLUMNS // 2 - 13 : COLUMNS // 2 + 13]
    texture[middle], seen[middle] = 0.5, 1.0
    made = continued(texture, seen)
    # The median of all hair would be the bright one.
    assert made[:, :10].mean() < 0.2


def test_a_rim_lit_from_behind_is_no_lamp_for_the_back() -> None:
    """Hair whose outline is three times as bright as the rest."""
    texture, source = np.full((ROWS, COLUMNS, 3), 0.2, np.float32), front()
    seen = np.where(source, 0.9, 0.0)
    left, right = COLUMNS // 2 - 22, COLUMNS // 2 + 22
    for rim in (np.s_[:, left : left + 8], np.s_[:, right - 8 : right]):
        texture[rim], seen[rim] = 0.6, 0.35
    made = continued(texture, seen)
    assert made[:, :10].max() < 0.25 and made[:, right + 3].max() < 0.33


def measured(hair: float) -> Measured:
    seen = front().astype(np.float32)
    return Measured(
        ratio=np.ones((ROWS, COLUMNS), np.float32),
        seen=seen,
        covered=seen,
        color=striped(),
        hair=np.full((ROWS, COLUMNS), hair, np.float32),
    )


def test_bald_heads_continue_their_skin_smoothly() -> None:
    height = np.broadcast_to(np.linspace(12, -8, ROWS)[:, None], (ROWS, COLUMNS))
    crown = crown_of(measured(0.0), height)
    assert crown.bald
    made = continued_crown(striped(), crown, np.ones((ROWS, COLUMNS), bool))
    assert made[:10, :15].std(1).mean() < 0.02
    assert not crown_of(measured(1.0), height).bald


def surface(hair: float) -> HairSurface:
    """A plane of 10 by 10 cm that faces the camera, in cells of a pixel."""
    side = round(10 * PX_PER_CM)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    ones = np.ones((side, side), np.float32)
    return HairSurface(
        points=np.stack([x, y, 0 * x], -1),
        along=np.stack([0 * x, ones, 0 * x], -1),
        across=np.stack([ones, 0 * x, 0 * x], -1),
        colors=np.full((side, side, 3), 0.3, np.float32),
        hair=hair * ones,
        head_weight=ones,
    )


def test_strands_stand_off_where_hair_grows() -> None:
    plane = surface(1.0)
    kept = np.arange(plane.hair.size)
    group = strand_group(plane, kept, lambda points: np.ones(len(points), bool), PX_PER_CM)
    # 14 per square centimetre on 100; a Poisson number, five deviations.
    assert len(group) == pytest.approx(1400, abs=190)
    off = -group.positions[:, 2] / PX_PER_CM
    assert off.min() >= 0 and 0.3 < off.max() <= 0.45
    down = group.tangent_v[:, 1] / np.linalg.norm(group.tangent_v, axis=1)
    assert down.min() > 0.9
    assert len(strand_group(surface(0.0), kept, lambda p: np.ones(len(p), bool), PX_PER_CM)) == 0


def test_no_end_of_a_strand_is_seen() -> None:
    plane = surface(1.0)
    limit = 60.0
    group = strand_group(
        plane, np.arange(plane.hair.size), lambda points: points[:, 1] < limit, PX_PER_CM
    )
    assert len(group) > 100
    assert (group.positions[:, 1] + 1.5 * np.abs(group.tangent_v[:, 1])).max() < limit
