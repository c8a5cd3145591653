from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from talkcli.errors import InputError
from talkcli.files import output
from talkcli.files.atomic import rename_new
from talkcli.files.output import PendingOutput, check_output, remove_stale


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_commit_moves_into_place_and_keeps_ordinary_rights(tmp_path: Path) -> None:
    with PendingOutput(tmp_path / "a" / "b" / "out.bin", overwrite=False) as pending:
        pending.temp.write_bytes(b"whole")
        assert names(tmp_path / "a" / "b") == [pending.temp.name]
        pending.commit()
    assert (tmp_path / "a" / "b" / "out.bin").read_bytes() == b"whole"
    assert names(tmp_path / "a" / "b") == ["out.bin"]
    (tmp_path / "plain").touch()
    assert pending.path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_leaving_without_commit_removes(tmp_path: Path) -> None:
    for directory in (False, True):
        with PendingOutput(tmp_path / "out", overwrite=False, directory=directory) as pending:
            if directory:
                (pending.temp / "00000.png").touch()
        assert names(tmp_path) == []


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with PendingOutput(tmp_path / "out", overwrite=False) as pending:
        (tmp_path / "out").write_text("theirs")
        with pytest.raises(InputError, match="already exists"):
            pending.commit()
    assert (tmp_path / "out").read_text() == "theirs"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("directory", [False, True])
def test_a_run_that_is_quicker_by_a_moment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: bool
) -> None:
    """Their output appears after the last look and before the rename."""
    path = tmp_path / "out"
    sync, turns = output.fsync_path, [False] * 9 + [True]

    def theirs(file: Path) -> None:
        sync(file)
        if turns.pop():
            with PendingOutput(path, overwrite=False, directory=directory) as other:
                (other.temp / "00000.png" if directory else other.temp).write_text("theirs")
                other.commit()

    with PendingOutput(path, overwrite=False, directory=directory) as pending:
        (pending.temp / "00000.png" if directory else pending.temp).write_text("ours")
        with monkeypatch.context() as patch, pytest.raises(InputError, match="already exists"):
            patch.setattr(output, "fsync_path", theirs)
            pending.commit()
    assert (path / "00000.png" if directory else path).read_text() == "theirs"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("taken", [False, True])
def test_file_systems_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    new, final = tmp_path / "new", tmp_path / "final"
    new.write_text("ours")
    monkeypatch.setattr(os, "link", refuse)
    if taken:
        final.write_text("theirs")
        with pytest.raises(FileExistsError):
            rename_new(new, final)
        assert names(tmp_path) == ["final", "new"]
    else:
        rename_new(new, final)
        assert names(tmp_path) == ["final"] and final.read_text() == "ours"


def test_symlinks_are_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "real")
    with PendingOutput(tmp_path / "out", overwrite=False) as pending:
        assert pending.temp.parent == (tmp_path / "disk").resolve()
        pending.commit()
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "disk" / "real").exists()


def test_places_that_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path, directory, overwrite, message in [
        (tmp_path / "file", False, False, "already exists; use -y"),
        (tmp_path / "file", True, True, "is a file"),
        (tmp_path / "folder", False, True, "is a directory"),
        (tmp_path / "file" / "out", False, False, "file"),
        (Path("/dev/null"), False, True, "not a regular file"),
        (tmp_path / ("x" * 300), False, False, "long"),
        (tmp_path / "a\0b", False, False, "no usable name"),
    ]:
        with pytest.raises(InputError, match=message) as caught:
            check_output(path, overwrite=overwrite, directory=directory)
        assert caught.value.fix
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.EACCES, "may not be written to"),
        (errno.EROFS, "may not be written to"),
        (errno.ENOSPC, "no space is left"),
        (errno.EIO, "cannot be written"),
    ],
)
def test_refusals_of_the_system_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str
) -> None:
    """Simulated: tests may run as root, whom rights do not stop."""

    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InputError, match=message) as caught:
        check_output(tmp_path / "out", overwrite=False)
    assert caught.value.fix


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_a_directory_without_rights_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(InputError, match="may not be written to"):
        check_output(tmp_path / "out", overwrite=False)


def test_checking_leaves_nothing_behind(tmp_path: Path) -> None:
    check_output(tmp_path / "new" / "deep" / "out.mp4", overwrite=False)
    check_output(tmp_path / "new" / "frames", overwrite=False, directory=True)
    assert names(tmp_path) == []


def test_only_stale_files_are_removed(tmp_path: Path) -> None:
    stale = tmp_path / f"{output._PREFIX}0123{output._SUFFIX}"
    stale.touch()
    stale_folder = tmp_path / f"{output._PREFIX}4567{output._SUFFIX}"
    stale_folder.mkdir()
    (stale_folder / "00000.png").touch()
    other = tmp_path / ".other.part"
    other.touch()
    with PendingOutput(tmp_path / "live", overwrite=False) as live:
        assert not stale.exists()
        assert not stale_folder.exists()
        assert remove_stale(tmp_path) == 0
        assert live.temp.exists()
    assert names(tmp_path) == [".other.part"]


def test_file_systems_without_locks_work_and_are_not_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    leftover = tmp_path / f"{output._PREFIX}0123{output._SUFFIX}"
    leftover.touch()
    with PendingOutput(tmp_path / "out", overwrite=False) as pending:
        pending.commit()
    assert names(tmp_path) == [leftover.name, "out"]
