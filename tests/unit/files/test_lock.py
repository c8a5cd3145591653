"""The lock of a project holds one process back and touches nothing that is not a lock."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from talkcli.errors import InputError
from talkcli.files.lock import hold_lock


def _symlink(lock: Path, target: Path) -> None:
    lock.symlink_to(target)


def _hard_link(lock: Path, target: Path) -> None:
    os.link(target, lock)


def _dangling(lock: Path, target: Path) -> None:
    lock.symlink_to(target.with_name("not there"))


def _pipe(lock: Path, target: Path) -> None:
    os.mkfifo(lock)


def _folder(lock: Path, target: Path) -> None:
    lock.mkdir()


def _other_file(lock: Path, target: Path) -> None:
    shutil.copy(target, lock)


def _other_json(lock: Path, target: Path) -> None:
    lock.write_text("[" * 200 + "]" * 200)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs links and pipes")
@pytest.mark.parametrize(
    "lay", [_symlink, _hard_link, _dangling, _pipe, _folder, _other_file, _other_json]
)
def test_what_is_no_lock_is_neither_emptied_nor_waited_for(tmp_path: Path, lay) -> None:
    target = tmp_path / "precious.txt"
    target.write_text("precious")
    project = tmp_path / "project"
    project.mkdir()
    lay(project / ".lock", target)
    before = sorted(path.name for path in tmp_path.iterdir())
    wanted = pytest.raises(InputError, match="not talkcli's lock; move it away")
    with wanted as caught, hold_lock(project / ".lock", wait_s=0):
        pass
    assert str(project / ".lock") in str(caught.value)
    assert target.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    if lay is _other_file:
        assert (project / ".lock").read_text() == "precious"


@pytest.mark.parametrize("left", ["", '{"pid": 1, "since": "10:00:00"}', "\0" * 32])
def test_what_a_killed_run_left_keeps_nobody_out(tmp_path: Path, left: str) -> None:
    lock = tmp_path / ".lock"
    lock.write_text(left)
    with hold_lock(lock, wait_s=0):
        assert str(os.getpid()) in lock.read_text()
    assert lock.read_text() == ""


def test_a_lock_that_was_removed_meanwhile_is_made_anew(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    held = threading.Event()
    entered = []

    def wait() -> None:
        with hold_lock(lock, on_wait=lambda text: held.set()):
            entered.append(lock.read_text())

    with hold_lock(lock):
        waiter = threading.Thread(target=wait)
        waiter.start()
        assert held.wait(10)
        lock.unlink()
    waiter.join(10)
    assert len(entered) == 1 and str(os.getpid()) in entered[0]


def test_a_system_without_locks_is_told_and_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with hold_lock(tmp_path / ".lock", wait_s=0):
        pass
    assert "run one talkcli at a time" in caplog.text


_ENTER = """
import sys, time
from pathlib import Path
from talkcli.files.lock import hold_lock
for _ in range(40):
    with hold_lock(Path(sys.argv[1]) / ".lock"):
        inside = Path(sys.argv[1]) / "inside"
        inside.mkdir()
        inside.rmdir()
"""


def test_four_processes_are_never_inside_together(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _ENTER, str(tmp_path)]
    start = time.monotonic()
    runs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    errors = [run.communicate(timeout=120)[1] for run in runs]
    assert errors == [""] * 4, f"after {time.monotonic() - start:.1f} s"
