"""Kernels on disk: damaged and foreign files are compiled again, never loaded."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from talkcli.errors import InputError
from talkcli.kernels import jit, store


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(store, "folder", lambda: tmp_path)
    store._tell.cache_clear()
    return tmp_path


def add(numbers: np.ndarray, more: int) -> int:
    total = more
    for i in range(len(numbers)):
        total += int(numbers[i])
    return total


NUMBERS = np.arange(4.0)


def run() -> tuple[int, int]:
    """The sum by a freshly made function, and how many of its signatures came from the disk."""
    function = jit.kernel(add)
    result = function(NUMBERS, 1)
    return result, len(function.loaded) - len(function.compiled)


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.kernel"))


def test_a_kernel_is_compiled_once_and_private(folder: Path) -> None:
    assert run() == (7, 0)
    assert run() == (7, 1)
    assert len(files(folder)) == 1
    assert files(folder)[0].stat().st_mode & 0o777 == 0o600
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".kernel"}


def test_each_signature_has_a_file_of_its_own(folder: Path) -> None:
    function = jit.kernel(add)
    function(NUMBERS, 1)
    function(NUMBERS.astype(np.float32), 1)
    function(NUMBERS.astype(np.uint8), 1)
    assert len(files(folder)) == 3
    again = jit.kernel(add)
    assert again(NUMBERS.astype(np.uint8), 1) == 7 and again.compiled == []


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _flip_code(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _flip_digest(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)


def _text(path: Path) -> None:
    path.write_text("not a kernel")


def _bare_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"sig": 1}))


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def _rights(path: Path) -> None:
    path.chmod(0o666)


def _group_rights(path: Path) -> None:
    path.chmod(0o620)


@pytest.mark.parametrize(
    "damage",
    [_empty, _cut, _zeros, _flip_code, _flip_digest, _text, _bare_pickle, _link, _rights,
     _group_rights],
)  # fmt: skip
def test_damage_is_one_warning_and_compiled_again(
    folder: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    run()
    (path,) = files(folder)
    damage(path)
    with caplog.at_level(logging.WARNING):
        assert run() == (7, 0)
        damage(path)
        assert run() == (7, 0)
    assert len(caplog.records) == 1 and "compiled again" in caplog.text
    assert run() == (7, 1)
    assert path.is_file() and not path.is_symlink()


def test_a_kernel_of_another_user_is_not_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert run() == (7, 0)
    assert "others can write to one" in caplog.text


def test_another_numba_or_source_is_no_damage(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run()
    monkeypatch.setattr(store, "machine", lambda: "another processor or numba")
    assert run() == (7, 0)
    assert run() == (7, 1)
    assert caplog.text == ""


def test_a_full_disk_is_said_and_leaves_nothing_half_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(handle: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InputError, match=r"no space is left .*TALKCLI_CACHE"):
        run()
    monkeypatch.undo()
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs locks")
def test_only_what_killed_runs_left_is_removed(folder: Path) -> None:
    function = jit.kernel(add)
    function(NUMBERS, 1)
    left = files(folder)[0].with_name(f".tmp-{0:032x}")
    left.write_bytes(b"half a kernel")
    with store._writing(left.parent):  # removes it
        left.write_bytes(b"being written")
        function(NUMBERS.astype(np.uint8), 1)
        assert left.exists()
    function(NUMBERS.astype(np.float32), 1)
    assert not left.exists() and len(files(folder)) == 3


def test_several_threads_may_ask_for_the_same_kernel(folder: Path) -> None:
    results: list[int] = []
    functions = [jit.kernel(add) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda f=f: results.append(f(NUMBERS, 1))) for f in functions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [7] * 4
    assert len(files(folder)) == 1


def test_kernels_survive_the_process(folder: Path) -> None:
    code = (
        "import sys, numpy as np\nfrom talkcli import runtime\nruntime.configure()\n"
        "from talkcli.render.solid import solidify\n"
        "rgb, alpha = np.full((8, 8, 3), .5, np.float32), np.full((8, 8), .5, np.float32)\n"
        "solidify(rgb, alpha)\nprint(round(float(alpha[4, 4]), 3))"
    )
    told = []
    for _ in range(2):
        env = {**os.environ, "TALKCLI_CACHE": str(folder / "cache")}
        env.pop("NUMBA_CACHE_DIR", None)
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
        assert done.returncode == 0, done.stderr
        told.append((done.stdout, {p: p.stat().st_mtime_ns for p in files(folder / "cache")}))
    assert told[0] == told[1] and told[0][1]
