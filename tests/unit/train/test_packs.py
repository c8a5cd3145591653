"""Packs grow where they stopped, and packs that cannot be used are told of in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from talkcli.errors import InputError
from talkcli.train.packs import (
    SHARD_SOURCES,
    PackWriter,
    Record,
    as_jpeg,
    as_png,
    picture_of,
    read_pack,
)


def made(number: int, split: str = "train") -> Record:
    return Record(
        {"source": f"{number}.png", "split": split}, {"values": np.arange(number, number + 3)}
    )


def test_what_is_added_is_read() -> None:
    plane = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000
    np.testing.assert_array_equal(picture_of(as_png(plane)), plane)
    rgb = np.zeros((16, 16, 3), np.uint8)
    rgb[..., 0] = 200
    # JPEG at quality 85 keeps an even red to a few levels, and red is not taken for blue.
    assert np.abs(picture_of(as_jpeg(rgb)).astype(int) - rgb).max() < 8


def test_a_stopped_pack_goes_on(tmp_path: Path) -> None:
    writer = PackWriter(tmp_path, "numbers", {"size": 1})
    for number in range(SHARD_SOURCES + 3):
        writer.add([made(number, "held" if number < 2 else "train")])
    # Killed here: what lies in no shard yet is lost, nothing else.
    again = PackWriter(tmp_path, "numbers", {"size": 1})
    assert len(again.done) == SHARD_SOURCES
    again.skip("bad.png", "no face")
    again.add([made(99)])
    again.flush()
    read = list(read_pack(tmp_path, "numbers"))
    assert [record.facts["source"] for record in read] == [
        *(f"{n}.png" for n in range(SHARD_SOURCES)), "99.png",
    ]  # fmt: skip
    np.testing.assert_array_equal(read[-1].arrays["values"], [99, 100, 101])
    assert len(list(read_pack(tmp_path, "numbers", "held"))) == 2
    assert "bad.png" in PackWriter(tmp_path, "numbers", {"size": 1}).done


def test_other_settings_are_another_pack(tmp_path: Path) -> None:
    PackWriter(tmp_path, "numbers", {"size": 1})
    with pytest.raises(InputError, match="size: 1"):
        PackWriter(tmp_path, "numbers", {"size": 2})
    with pytest.raises(InputError, match="holds numbers"):
        list(read_pack(tmp_path, "avatars"))


def test_unusable_packs_are_told_of(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="talkcli train prepare"):
        list(read_pack(tmp_path / "none", "numbers"))
    PackWriter(tmp_path, "numbers", {}).flush()
    index = tmp_path / "pack.json"
    newer = {**json.loads(index.read_text()), "schema": 99}
    index.write_text(json.dumps(newer))
    with pytest.raises(InputError, match="schema 99"):
        list(read_pack(tmp_path, "numbers"))
    index.write_text("{")
    with pytest.raises(InputError, match="damaged"):
        list(read_pack(tmp_path, "numbers"))


def test_a_damaged_shard_is_told_of(tmp_path: Path) -> None:
    writer = PackWriter(tmp_path, "numbers", {})
    writer.add([made(1)])
    writer.flush()
    shard = next(tmp_path.glob("shard-*"))
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(InputError, match="talkcli train prepare"):
        list(read_pack(tmp_path, "numbers"))
