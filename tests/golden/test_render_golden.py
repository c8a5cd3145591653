"""Small renderings of random scenes, so that neither drawing nor depth order changes unseen.

``make golden`` writes them anew, with the slow reference: the pictures are what the definition
says, and the fast renderer must come out within a level of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from talkcli.render import render
from tests.support.scenes import Recipe, make_scene

HERE = Path(__file__).parent
CASES: dict[str, Recipe] = {
    "mixed": Recipe(count=150, size=(64, 64), log_scale=-1.9, spread=3.0),
    "opaque": Recipe(count=250, size=(64, 64), log_scale=-1.7, opacity=(0.9, 1.0), spread=3.0),
    "needles": Recipe(count=150, size=(64, 64), log_scale=-2.3, scale_spread=1.2, spread=3.0),
}
#: Rounding to eight bits; a splat that just reaches alpha 1/255 may be seen or not.
LEVELS = 1


def drawn(recipe: Recipe, backend: str) -> np.ndarray:
    scene = make_scene(recipe, seed=21).to(torch.float32)
    background = torch.tensor([0.15, 0.2, 0.3])
    rgb = render(scene.gaussians, scene.cameras, background=background, backend=backend).rgb[0]
    return np.round(255 * rgb.clamp(0, 1).numpy()).astype(np.uint8)


@pytest.mark.parametrize("name", CASES)
def test_scene_looks_as_before(name: str, tmp_path: Path) -> None:
    path = HERE / f"render_{name}.png"
    if os.environ.get("TALKCLI_UPDATE_GOLDEN"):
        cv2.imwrite(str(path), drawn(CASES[name], "reference")[..., ::-1])
    actual, wanted = drawn(CASES[name], "cpu"), cv2.imread(str(path))[..., ::-1]
    difference = np.abs(actual.astype(int) - wanted)
    if difference.max() > LEVELS:
        cv2.imwrite(str(tmp_path / "actual.png"), actual[..., ::-1])
        cv2.imwrite(str(tmp_path / "difference.png"), np.clip(8 * difference, 0, 255)[..., ::-1])
        pytest.fail(f"{name} differs by up to {difference.max()} levels; see {tmp_path}")
