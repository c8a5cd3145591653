"""Files and folders appear whole, or what was there stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from talkcli.files.atomic import staged_directory, write_text_atomic


def test_atomic_text_keeps_the_old_one_on_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "text"
    write_text_atomic(path, "old")
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        write_text_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_staged_directory_replaces_a_file(tmp_path: Path) -> None:
    final = tmp_path / "entry"
    final.write_text("a file where a directory belongs")
    with staged_directory(final) as directory:
        (directory / "x").write_text("x")
    assert (final / "x").read_text() == "x"
    assert list(tmp_path.iterdir()) == [final]
