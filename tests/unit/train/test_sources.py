"""Data folders: whose a picture is, and who is held out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from talkcli.errors import InputError
from talkcli.train.sources import find_files, held_out


def test_lists_are_read(tmp_path: Path) -> None:
    known = sorted(name for name in held_out() if name.startswith("synthetic "))
    kept = known[0].removeprefix("synthetic ")
    (tmp_path / "synthetic").mkdir()
    rows = [f"{kept}.jpg,age,250", "0.jpg,age,250", "1.jpg,bad_things,250"]
    (tmp_path / "synthetic/index.csv").write_text("\n".join(["file,sheet,pixels", *rows]))
    entry = {"file": "portraits/a.jpg", "identity": "somebody", "repo_licence": "CC0"}
    (tmp_path / "manifest.json").write_text(json.dumps([entry, {**entry, "file": "gone.jpg"}]))
    (tmp_path / "portraits").mkdir()
    (tmp_path / "portraits/a.jpg").touch()
    found = find_files(tmp_path, ["synthetic"])
    assert [(f.person, f.split, f.licence) for f in found] == [
        (known[0], "held", "MIT"),
        ("synthetic 0", "train", "MIT"),
    ]
    both = find_files(tmp_path, ["synthetic", "portraits"])
    assert {f.person for f in both} == {known[0], "synthetic 0", "somebody"}


def test_a_folder_of_pictures_is_enough(tmp_path: Path) -> None:
    (tmp_path / "me.png").touch()
    assert [(f.person, f.held) for f in find_files(tmp_path, ["x"])] == [("me", False)]


def test_an_empty_folder_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--data"):
        find_files(tmp_path, ["synthetic"])
