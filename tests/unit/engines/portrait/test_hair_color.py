"""Hair by its colour: told from skin in any light, and not found on bald heads."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.engines.portrait.build.geometry import HeadGeometry, head_geometry
from talkcli.engines.portrait.build.hair_color import hair_share
from talkcli.face.model import FaceModel

SIDE = 240
SKIN = np.array([0.75, 0.55, 0.45])


def measured_head() -> tuple[HeadGeometry, np.ndarray]:
    """A frontal template, and ``[S, S]`` bool the head around it."""
    model = FaceModel.load()
    points = model.vertices * (9.0, -9.0, -9.0) + (SIDE / 2, 140.0, 0.0)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    head = ((x - SIDE / 2) / 85) ** 2 + ((y - 125) / 112) ** 2 < 1
    return head_geometry(points, head.astype(np.float32), model), head


def scene(hair: np.ndarray, light: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A frontal template with hair around it, lit by ``light [S, S, 1]``."""
    geometry, head = measured_head()
    y = np.mgrid[:SIDE, :SIDE][0]
    random = np.random.default_rng(1)
    rgb = np.where(geometry.on_face[..., None], SKIN, hair) * light
    rgb = np.clip(rgb + random.normal(0, 0.02, rgb.shape), 0, 1).astype(np.float32)
    crown = head & ~geometry.on_face & (y < 60)
    return hair_share(rgb, geometry), crown, geometry.on_face


FLAT = np.ones((SIDE, SIDE, 1))
#: Light from the side: a quarter as bright on one side as on the other.
SIDEWAYS = np.linspace(0.3, 1.2, SIDE)[None, :, None] * FLAT


@pytest.mark.parametrize("light", [FLAT, SIDEWAYS], ids=["flat", "sideways"])
@pytest.mark.parametrize("hair", [(0.1, 0.08, 0.07), (0.5, 0.5, 0.52)], ids=["black", "grey"])
def test_hair_is_found_in_any_light(hair: tuple[float, float, float], light: np.ndarray) -> None:
    share, crown, face = scene(np.array(hair), light)
    assert (share[crown] > 0.6).mean() > 0.85
    assert share[face].max() == 0


def test_a_bald_head_has_none() -> None:
    share, crown, _ = scene(SKIN, FLAT)
    assert (share[crown] > 0.6).mean() < 0.05


def test_a_forehead_above_the_mesh_is_no_hair() -> None:
    """Receding hair: along the outline alone, and a forehead as glossy as the nose."""
    share, crown, gloss = receding()
    assert (share[crown] > 0.6).mean() > 0.8
    assert (share[gloss] > 0.6).mean() < 0.1


def test_a_beard_does_not_make_hair_skin() -> None:
    share, crown, _ = receding(beard=True)
    assert (share[crown] > 0.6).mean() > 0.8


def receding(*, beard: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share of hair; where it grows; the forehead between it and the mesh."""
    geometry, head = measured_head()
    y = np.mgrid[:SIDE, :SIDE][0]
    crown = head & (geometry.silhouette_distance < 14) & (y < 70) & ~geometry.on_face
    gloss = head & ~geometry.on_face & (y < 60) & (geometry.silhouette_distance > 20)
    rgb = np.where(crown[..., None], (0.12, 0.1, 0.1), SKIN) * FLAT
    rgb[gloss] = rgb[60:150, SIDE // 2 - 4 : SIDE // 2 + 4] = (0.92, 0.85, 0.8)
    if beard:
        rgb[head & (y > 175)] = (0.12, 0.1, 0.1)
    noise = np.random.default_rng(2).normal(0, 0.02, rgb.shape)
    return hair_share(np.clip(rgb + noise, 0, 1).astype(np.float32), geometry), crown, gloss
