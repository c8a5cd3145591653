"""Avatars on disk: what a stranger may have put into one is found before anything follows it."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from talkcli.engines.portrait.avatar import PictureFrame, PortraitAvatar
from talkcli.engines.portrait.checkpoint import SCHEMA, load_avatar, save_avatar
from talkcli.engines.portrait.splats import Layer, RestSplats
from talkcli.errors import InputError
from talkcli.face.model import FaceModel

COUNT, DYNAMIC, SIDE = 64, 48, 32


@pytest.fixture(scope="module")
def avatar() -> PortraitAvatar:
    """A few splats in front of a face; nothing to look at, everything to store."""
    rng = np.random.default_rng(3)
    widths = {"neighbours": 4, "vertices": 4, "weights": 4, "weight_slope": 2, "positions": 3}
    widths |= {"tangent_u": 3, "tangent_v": 3, "colors": 3, "normals": 3}
    arrays: dict[str, Any] = {}
    for item in fields(RestSplats):
        shape = (COUNT, widths[item.name]) if item.name in widths else (COUNT,)
        # Quarters are exact in half floats.
        arrays[item.name] = (rng.integers(0, 5, shape) / 4).astype(np.float32)
    arrays["neighbours"] = rng.integers(0, COUNT, (COUNT, 4)).astype(np.int32)
    arrays["vertices"] = rng.integers(0, 468, (COUNT, 4)).astype(np.int32)
    arrays["layers"] = rng.integers(0, max(Layer) + 1, COUNT).astype(np.int32)
    face = FaceModel.load()
    viewmat = np.diag([1.0, -1.0, -1.0, 1.0]).astype(np.float32)
    viewmat[2, 3] = 100
    return PortraitAvatar(
        splats=RestSplats(**arrays),
        dynamic=DYNAMIC,
        vertices=face.vertices,
        neutral_shift=np.zeros((478, 3), np.float32),
        basis=face.basis,
        eye_centres=np.array([[-3, 3, 3], [3, 3, 3]], np.float32),
        rotation=np.eye(3, dtype=np.float32),
        viewmat=viewmat,
        K=np.array([[90, 0, 16], [0, 90, 16], [0, 0, 1]], np.float32),
        frame=PictureFrame(40, 50, 4, 4, SIDE, SIDE),
        source=rng.integers(0, 256, (50, 40, 4)).astype(np.uint8),
        plate=(rng.integers(0, 256, (SIDE, SIDE, 3)) / 255).astype(np.float32),
        torso=rng.integers(0, 256, (50, 40)).astype(np.uint8),
    )


def rewritten(avatar: PortraitAvatar, folder: Path, tensors: dict, header: dict) -> None:
    """Save the avatar with some arrays and header values replaced."""
    save_avatar(avatar, folder)
    path = folder / "avatar.safetensors"
    with safe_open(path, "np") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(file.metadata()["talkcli"])
    for name, value in header.items():
        if "." in name:
            about["frame"][name.partition(".")[2]] = value
        else:
            about[name] = value
    save_file(found | tensors, path, {"talkcli": json.dumps(about)})


def test_everything_comes_back(avatar, tmp_path: Path) -> None:
    save_avatar(avatar, tmp_path)
    again = load_avatar(tmp_path)
    for item in fields(RestSplats):
        one, other = getattr(avatar.splats, item.name), getattr(again.splats, item.name)
        np.testing.assert_array_equal(one, other, err_msg=item.name)
        assert one.dtype == other.dtype, item.name
    assert (again.frame, again.dynamic) == (avatar.frame, avatar.dynamic)
    np.testing.assert_array_equal(again.source, avatar.source)
    np.testing.assert_array_equal(again.plate, avatar.plate)


@pytest.mark.parametrize(
    ("tensors", "header"),
    [
        ({"splats.neighbours": np.full((COUNT, 4), COUNT, np.int32)}, {}),
        ({"splats.neighbours": np.full((COUNT, 4), -1, np.int32)}, {}),
        ({"splats.vertices": np.full((COUNT, 4), 478, np.int16)}, {}),
        ({"splats.positions": np.zeros((COUNT - 1, 3), np.float32)}, {}),
        ({"splats.positions": np.full((COUNT, 3), np.nan, np.float32)}, {}),
        ({"splats.positions": np.full((COUNT, 3), 1e30, np.float32)}, {}),
        ({"splats.opacities": np.full(COUNT, 7, np.float16)}, {}),
        ({"splats.layers": np.full(COUNT, 99, np.uint8)}, {}),
        ({"basis": np.zeros((51, 478, 3), np.float32)}, {}),
        ({"vertices": np.zeros((477, 3), np.float32)}, {}),
        ({"plate": np.zeros((SIDE, SIDE + 1, 3), np.uint8)}, {}),
        ({"torso": np.zeros((50, 41), np.uint8)}, {}),
        ({"source": np.zeros((50, 40, 3), np.uint8)}, {}),
        ({"contact.index": np.array([COUNT], np.int32),
          "contact.shade": np.zeros((1, 3), np.float16)}, {}),
        ({"rotation": np.zeros((3, 3), np.float32)}, {}),
        ({"viewmat": 0.5 * np.eye(4, dtype=np.float32)}, {}),
        ({"K": np.zeros((3, 3), np.float32)}, {}),
        ({}, {"dynamic": COUNT + 1}),
        ({}, {"dynamic": -1}),
        ({}, {"dynamic": 1.5}),
        ({}, {"dynamic": "all"}),
        ({}, {"frame": {}}),
        ({}, {"frame": [1]}),
        ({}, {"frame.width": 41}),
        ({}, {"frame.crop_pixels": 10**9}),
        ({}, {"frame.crop_side": 0}),
        ({}, {"frame.crop_x": "left"}),
        ({}, {"frame.crop_y": 1e12}),
        ({}, {"engine": "another"}),
        ({}, {"schema": SCHEMA + 1}),
        ({}, {"schema": 0}),
        ({}, {"schema": [1]}),
    ],
)  # fmt: skip
def test_what_no_avatar_holds_is_refused(avatar, tmp_path: Path, tensors, header) -> None:
    rewritten(avatar, tmp_path, tensors, header)
    with pytest.raises(InputError, match="talkcli reconstruct"):
        load_avatar(tmp_path)
