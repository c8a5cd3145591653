"""A depth network's relief around the face leaves the face and the source's view alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from talkcli.avatar import PictureSource
from talkcli.config import PortraitConfig, Recipe
from talkcli.engines.mggtalk.engine import ENGINE
from talkcli.engines.mggtalk.relief import relieved
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.splats import Layer
from talkcli.errors import InputError
from talkcli.progress import SilentReporter, Stopwatch
from talkcli.project import Project
from talkcli.project.run import Run
from talkcli.tracking.landmarks import Face
from tests.support.onnx import write_network


class Known:
    """Stands for a network: gives the inverse of a depth that the test knows, up to a scale."""

    def __init__(self, depth: np.ndarray, factor: float = 500.0) -> None:
        self._inverse = (factor * (1 / depth - 0.001)).astype(np.float32)

    def inverse_depth(self, rgb: np.ndarray) -> np.ndarray:
        assert rgb.shape[:2] == self._inverse.shape
        return self._inverse


def depth_map(avatar: PortraitAvatar) -> np.ndarray:
    """``[S, S]`` of the avatar's skin as the source shows it; its mean elsewhere."""
    skin = avatar.splats.positions[avatar.splats.layers == Layer.SKIN]
    seen = skin @ avatar.viewmat[:3, :3].T + avatar.viewmat[:3, 3]
    place = (seen @ avatar.K.T)[:, :2] / seen[:, 2:]
    side = avatar.frame.crop_pixels
    found = np.full((side, side), seen[:, 2].mean())
    column, row = np.clip(place.astype(int), 0, side - 1).T
    found[row, column] = seen[:, 2]
    return found


def crop_of(avatar: PortraitAvatar) -> np.ndarray:
    side = avatar.frame.crop_pixels
    return np.zeros((side, side, 3), np.uint8)


def test_what_the_avatar_has_already_moves_nothing_far(avatar: PortraitAvatar) -> None:
    made = relieved(avatar, crop_of(avatar), Known(depth_map(avatar)))  # type: ignore[arg-type]
    away = np.linalg.norm(made.splats.positions - avatar.splats.positions, axis=1)
    # Cells of 1/128 of the crop smooth the silhouette's steep rim.
    assert np.median(away) < 0.05 and np.percentile(away, 95) < 1.0


def test_hair_moves_along_its_rays_and_the_face_stays(avatar: PortraitAvatar) -> None:
    rows = np.arange(avatar.frame.crop_pixels)[:, None]
    depth = depth_map(avatar)
    # Everything above the forehead leans back.
    leaning = depth + 6.0 * np.clip((0.3 * len(rows) - rows) / (0.3 * len(rows)), 0, 1)
    made = relieved(avatar, crop_of(avatar), Known(leaning))  # type: ignore[arg-type]
    before, after = avatar.splats, made.splats
    moved = np.linalg.norm(after.positions - before.positions, axis=1)
    face = before.weights.sum(1) > 0.9
    assert not moved[face].any() and not moved[before.layers != Layer.SKIN].any()
    hair = (before.layers == Layer.SKIN) & (before.positions[:, 1] > 12)
    back = (after.positions - before.positions)[hair, 2]
    assert np.median(back) < -0.3 and moved.max() < 3.3
    eye = -avatar.viewmat[:3, :3].T @ avatar.viewmat[:3, 3]
    rays = [s.positions[hair] - eye for s in (before, after)]
    units = [r / np.linalg.norm(r, axis=1, keepdims=True) for r in rays]
    np.testing.assert_allclose(units[0], units[1], atol=1e-5)


def test_a_network_that_sees_the_face_inside_out_is_refused(avatar: PortraitAvatar) -> None:
    network = Known(depth_map(avatar), -500.0)
    with pytest.raises(InputError, match="inside out"):
        relieved(avatar, crop_of(avatar), network)  # type: ignore[arg-type]


def test_the_engine_takes_a_network_that_the_user_names(
    picture: np.ndarray, face: Face, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    # Brightness is no depth, but a map: it may be refused, in one line, or moves what is not face.
    network = write_network(tmp_path / "tiny.onnx", [1, 3, "h", "w"])
    recipe = Recipe(portrait=PortraitConfig(max_crop=192, fit_iterations=1))
    recipe = replace(recipe, mggtalk=replace(recipe.mggtalk, depth=str(network)))
    assert ENGINE.key(recipe)["depth"] is not None
    run = Run(Project.create(tmp_path / "me.talk"), recipe, SilentReporter(), Stopwatch())
    (tmp_path / "avatar").mkdir()
    try:
        ENGINE.make(PictureSource(picture, face.points, 192), run, tmp_path / "avatar")
    except InputError as error:
        assert "inside out" in str(error)
    else:
        assert len(ENGINE.load(tmp_path / "avatar").pose(None)) > 1000
