"""Files and folders appear whole, or what was there stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from talkcli.files import atomic
from talkcli.files.atomic import replace_directory, staged_directory, write_text_atomic


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


def make(folder: Path, content: str) -> Path:
    folder.mkdir()
    (folder / "file").write_text(content, encoding="utf-8")
    return folder


@pytest.fixture(params=["exchange", "two renames"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    one, other = make(tmp_path / "one", "1"), make(tmp_path / "other", "2")
    if request.param == "two renames":
        monkeypatch.setattr(atomic, "_EXCHANGES", {})
    elif not atomic._exchange(one, other):
        pytest.skip("this file system cannot exchange two names")
    for place in (one, other):
        atomic._remove(place)
    return str(request.param)


def test_a_full_directory_is_replaced(tmp_path: Path, way: str) -> None:
    final = make(tmp_path / "final", "old")
    with staged_directory(final) as directory:
        (directory / "file").write_text("new", encoding="utf-8")
    assert (final / "file").read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [final]


def test_the_old_directory_is_there_until_the_new_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Whatever is removed or fails on the way: the name leads to a whole directory."""
    new, final = make(tmp_path / "new", "new"), make(tmp_path / "final", "old")
    seen = []
    monkeypatch.setattr(
        atomic, "_remove", lambda path: seen.append((final / "file").read_text(encoding="utf-8"))
    )
    if way == "two renames":
        rename, calls = os.rename, []

        def fail_once(source: Path, target: Path) -> None:
            calls.append(target)
            if len(calls) == 2:
                raise KeyboardInterrupt
            rename(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", fail_once)
            with pytest.raises(KeyboardInterrupt):
                replace_directory(new, final, tmp_path / "aside")
        assert (final / "file").read_text(encoding="utf-8") == "old" and seen == []
    replace_directory(new, final, tmp_path / "aside")
    assert seen == ["new"]


def test_names_that_are_not_utf8_are_exchanged(tmp_path: Path, way: str) -> None:
    odd = tmp_path / os.fsdecode(b"b\xff")
    try:
        final = make(odd, "old")
    except OSError:
        pytest.skip("this file system wants UTF-8")
    replace_directory(make(tmp_path / "new", "new"), final, tmp_path / "aside")
    assert (final / "file").read_text(encoding="utf-8") == "new"
    assert len(list(tmp_path.iterdir())) == 1
