"""Files and directories that appear whole or not at all, whatever stops the process."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

#: Everything that is still being written carries this prefix; whoever holds the lock may delete it.
TEMPORARY_PREFIX = ".tmp-"
_TEMPORARY_NAME = re.compile(re.escape(TEMPORARY_PREFIX) + "[0-9a-f]{32}")
_HASH_BLOCK = 1 << 20


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_text_atomic(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` (UTF-8): readers see the old text or the new one, never less."""
    with staged_file(path) as stream:
        stream.write(text.encode())


@contextmanager
def staged_file(final: Path) -> Iterator[BinaryIO]:
    """A new file beside ``final`` that takes its place when the block ends without an error.

    Yields:
        The file to write into, ``.tmp-<uuid>``, binary.
    """
    temporary = final.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(final.parent)


@contextmanager
def staged_directory(final: Path) -> Iterator[Path]:
    """A new directory beside ``final`` that takes its place when the block ends without an error.

    Every file in it reaches the disk before the rename, so that after a power cut the directory
    holds what was written, or is absent. An older ``final`` is moved aside first: a rename onto a
    directory that is not empty fails.

    Yields:
        The directory to write into, ``.tmp-<uuid>``.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.parent / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    temporary.mkdir()
    try:
        yield temporary
        _fsync_tree(temporary)
        if final.exists():
            replaced = final.parent / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
            os.rename(final, replaced)
            os.rename(temporary, final)
            _remove(replaced)
        else:
            os.rename(temporary, final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    fsync_directory(final.parent)


def sweep_temporaries(root: Path) -> int:
    """Delete what killed runs left in ``root`` and one level below; returns how many there were.

    Only for the holder of the project's lock: a temporary of a live run looks the same.
    """
    found = [*root.glob(f"{TEMPORARY_PREFIX}*"), *root.glob(f"*/{TEMPORARY_PREFIX}*")]
    leftovers = [path for path in found if _TEMPORARY_NAME.fullmatch(path.name)]
    for leftover in leftovers:
        _remove(leftover)
    return len(leftovers)


def fsync_directory(path: Path) -> None:
    """Make the names in a directory durable (Windows has no such call and needs none)."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _fsync_tree(root: Path) -> None:
    for folder, _, names in os.walk(root):
        for name in names:
            with open(os.path.join(folder, name), "rb+") as stream:
                os.fsync(stream.fileno())
        fsync_directory(Path(folder))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
