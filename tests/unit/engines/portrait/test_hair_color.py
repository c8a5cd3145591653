"""Hair by its colour: told from skin in any light, and not found on bald heads."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.engines.portrait.build.geometry import head_geometry
from talkcli.engines.portrait.build.hair_color import hair_share
from talkcli.face.model import FaceModel

SIDE = 240
SKIN = np.array([0.75, 0.55, 0.45])


def scene(hair: np.ndarray, light: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A frontal template with hair around it, lit by ``light [S, S, 1]``."""
    model = FaceModel.load()
    points = model.vertices * (9.0, -9.0, -9.0) + (SIDE / 2, 140.0, 0.0)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    head = ((x - SIDE / 2) / 85) ** 2 + ((y - 125) / 112) ** 2 < 1
    geometry = head_geometry(points, head.astype(np.float32), model)
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
