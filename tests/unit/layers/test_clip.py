"""Prepared clips on disk: what is written is read, and what cannot be right is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from talkcli.errors import InputError
from talkcli.layers.clip import Box, PreparedClip
from talkcli.layers.contact_sheet import contact_sheet
from talkcli.layers.pictures import Roll, decode_picture, encode_picture, write_roll
from tests.support.prepared import SIDE, made_clip, made_pictures, save


def test_what_is_written_is_read(tmp_path: Path) -> None:
    clip = made_clip()
    save(clip, tmp_path)
    read = PreparedClip.load(tmp_path)
    for name in ("fps", "width", "height", "segment", "turned", "best", "box", "duration_s"):
        assert getattr(read, name) == getattr(clip, name), name
    for name in ("offset_s", "sync_confidence", "sound", "verdict"):
        assert getattr(read, name) == getattr(clip, name), name
    for name in ("points", "usable", "stored", "plate", "speech"):
        np.testing.assert_array_equal(getattr(read, name), getattr(clip, name))
    np.testing.assert_array_equal(read.curves.rotation, clip.curves.rotation)
    np.testing.assert_array_equal(read.best_picture(), clip.best_picture())
    assert len(read) == 12 and len(read.stored) == 8


def test_pictures_are_read_in_any_order(tmp_path: Path) -> None:
    save(made_clip(), tmp_path)
    read = PreparedClip.load(tmp_path)
    for number in (7, 0, 3):
        # JPEG of quality 95 rounds flat grey by a level at most.
        assert abs(int(read.crop(number)[20, 20, 1]) - 10 * number) <= 1
        assert (read.matte(number) > 0).sum() == SIDE * (4 + number)


def test_a_clip_without_sound(tmp_path: Path) -> None:
    clip = made_clip(speech=None, sound=False, sync_confidence=None, offset_s=0.0)
    save(clip, tmp_path)
    read = PreparedClip.load(tmp_path)
    assert read.speech is None and not read.sound and read.sync_confidence is None


@pytest.mark.parametrize("name", ["clip", "crops", "mattes"])
@pytest.mark.parametrize("damage", ["missing", "short", "empty"])
def test_damaged_files(tmp_path: Path, name: str, damage: str) -> None:
    save(made_clip(), tmp_path)
    path = tmp_path / f"{name}.safetensors"
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(content[: len(content) // 2] if damage == "short" else b"")
    with pytest.raises(InputError, match="talkcli preprocess"):
        PreparedClip.load(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"best": 12},
        {"best": -1},
        {"turned": 45},
        {"box": Box(0.0, 0.0, 2.0)},
        {"box": Box(1e9, 0.0, 64.0)},
        {"stored": np.array([3, 3, 4])},
        {"stored": np.array([0, 99])},
        {"stored": np.zeros(0, np.int64)},
        {"plate": np.zeros((8, 8, 3), np.uint8)},
        {"speech": np.zeros((5, 40), np.float32)},
        {"points": np.full((12, 478, 3), np.nan, np.float32)},
        {"points": np.zeros((11, 478, 3), np.float32)},
    ],
    ids=str,
)
def test_what_no_clip_holds(tmp_path: Path, changes: dict) -> None:
    save(made_clip(**changes), tmp_path)
    with pytest.raises(InputError):
        PreparedClip.load(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", 2),
        ("fps", "1e999999999"),
        ("fps", "0/1"),
        ("segment", ["a", 2]),
        ("box", [0, 0]),
        ("verdict", []),
        ("offset_s", None),
    ],
)
def test_headers_of_strangers(tmp_path: Path, key: str, value: object) -> None:
    from safetensors.numpy import load_file, save_file

    save(made_clip(), tmp_path)
    path = tmp_path / "clip.safetensors"
    tensors = load_file(path)
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(json.loads(file.read(size))["__metadata__"]["talkcli"])
    save_file(tensors, path, {"talkcli": json.dumps({**header, key: value})})
    with pytest.raises(InputError):
        PreparedClip.load(tmp_path)


def test_a_picture_that_is_none(tmp_path: Path) -> None:
    crops, _ = made_pictures(2)
    write_roll(tmp_path / "roll", [crops[0], b"no picture at all"])
    roll = Roll(tmp_path / "roll", SIDE, colour=True)
    assert roll[0].shape == (SIDE, SIDE, 3)
    with pytest.raises(InputError, match="damaged"):
        roll[1]


def test_a_picture_of_another_size(tmp_path: Path) -> None:
    write_roll(tmp_path / "roll", [encode_picture(np.zeros((9, 9), np.uint8))])
    with pytest.raises(InputError, match="9x9"):
        Roll(tmp_path / "roll", SIDE, colour=False)[0]


def test_mattes_are_lossless_and_crops_nearly() -> None:
    rng = np.random.default_rng(0)
    matte = rng.integers(0, 256, (40, 40), np.uint8)
    assert (decode_picture(encode_picture(matte), colour=False) == matte).all()
    y, x = np.mgrid[:40, :40]
    soft = np.stack([4 * x, 4 * y, 2 * (x + y)], -1).astype(np.uint8)
    back = decode_picture(encode_picture(soft), colour=True)
    # Gradients come back within 2 levels on average at quality 95, without chroma subsampling.
    assert np.abs(back.astype(int) - soft).mean() < 2.0


def test_the_contact_sheet_shows_good_and_bad_frames(tmp_path: Path) -> None:
    save(made_clip(), tmp_path)
    page = contact_sheet(PreparedClip.load(tmp_path))
    assert page.shape[1] == 1600 and page.dtype == np.uint8
    colours = {tuple(colour) for colour in page.reshape(-1, 3)[::7].tolist()}
    assert (70, 150, 90) in colours and (200, 70, 60) in colours
