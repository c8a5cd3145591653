"""Avatars on disk: what a stranger may have put into one is found before anything follows it."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.checkpoint import SCHEMA, load_avatar, save_avatar
from talkcli.engines.portrait.splats import RestSplats
from talkcli.errors import InputError
from tests.support.avatars import TINY_DYNAMIC, TINY_SIDE, TINY_SPLATS, tiny_avatar

COUNT, DYNAMIC, SIDE = TINY_SPLATS, TINY_DYNAMIC, TINY_SIDE


@pytest.fixture(scope="module")
def avatar() -> PortraitAvatar:
    return tiny_avatar()


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
        ({}, {"frame.crop_side": 500}),
        ({"plate": np.zeros((0, 0, 3), np.uint8)}, {"frame.crop_pixels": 0}),
        ({"source": np.zeros((0, 40, 4), np.uint8), "torso": np.zeros((0, 40), np.uint8)},
         {"frame.height": 0}),
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


def test_an_avatar_without_splats_is_refused(avatar, tmp_path: Path) -> None:
    save_avatar(avatar, tmp_path)
    with safe_open(tmp_path / "avatar.safetensors", "np") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    none = {name: value[:0] for name, value in found.items() if name.startswith(("spl", "contact"))}
    rewritten(avatar, tmp_path, none, {"dynamic": 0})
    with pytest.raises(InputError, match="it is empty"):
        load_avatar(tmp_path)


def test_an_avatar_in_which_nothing_moves_is_read(avatar, tmp_path: Path) -> None:
    still = {"splats.layers": np.zeros(COUNT, np.uint8)}
    still["splats.jaw_weight"] = np.zeros(COUNT, np.float16)
    rewritten(avatar, tmp_path, still, {"dynamic": 0})
    load_avatar(tmp_path)
