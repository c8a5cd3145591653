"""Files and directories that appear whole or not at all, whatever stops the process."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    """Replace ``path`` by ``text`` (UTF-8): readers see the old text or the new one, never less.

    File names that are not UTF-8 keep their bytes.
    """
    with staged_file(path) as stream:
        stream.write(text.encode(errors="surrogateescape"))


@contextmanager
def staged_file(final: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A new file beside ``final`` that takes its place when the block ends without an error.

    Args:
        final: where it will be.
        mode: its rights, of which the umask takes its part.

    Yields:
        The file to write into, ``.tmp-<uuid>``, binary.
    """
    with staged_path(final, mode) as temporary, temporary.open("r+b") as stream:
        yield stream


@contextmanager
def staged_path(final: Path, mode: int = 0o666) -> Iterator[Path]:
    """As :func:`staged_file`, for libraries that want a name and open it themselves.

    Whatever lies at ``final`` is replaced, never written through: a symbolic link is not followed.

    Yields:
        The path to write to, an empty file ``.tmp-<uuid>``.
    """
    temporary = temporary_beside(final)
    try:
        rights = _create(temporary, mode)
        yield temporary
        # A library may have put another file there, with rights of its own liking.
        temporary.chmod(rights)
        fsync_path(temporary)
        os.replace(temporary, final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_path(final.parent)


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
    temporary = temporary_beside(final)
    temporary.mkdir()
    try:
        yield temporary
        for folder, _, names in os.walk(temporary):
            for name in names:
                fsync_path(Path(folder, name))
            fsync_path(Path(folder))
        replace_directory(temporary, final, temporary_beside(final))
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    fsync_path(final.parent)


def sweep_temporaries(root: Path) -> int:
    """Delete what killed runs left in ``root`` and one level below; returns how many there were.

    Only for the holder of the project's lock: a temporary of a live run looks the same.
    """
    # A folder that is a link leads out of the project: what lies there is somebody else's.
    folders = [root, *(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())]
    found = (path for folder in folders for path in folder.glob(f"{TEMPORARY_PREFIX}*"))
    leftovers = [path for path in found if _TEMPORARY_NAME.fullmatch(path.name)]
    for leftover in leftovers:
        _remove(leftover)
    return len(leftovers)


def replace_directory(new: Path, final: Path, aside: Path) -> None:
    """Rename ``new`` to ``final``; what lay there goes by way of ``aside`` and is removed.

    A rename onto a directory that is not empty is allowed nowhere.
    """
    if not os.path.lexists(final):
        os.rename(new, final)
        return
    os.rename(final, aside)
    os.rename(new, final)
    _remove(aside)


def fsync_path(path: Path) -> None:
    """Wait until a file's bytes, or the names in a directory, are on the disk."""
    if os.name == "nt":
        return  # needs a writable handle there, and directories have none
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def temporary_beside(final: Path) -> Path:
    """A name in the folder of ``final`` that nobody has, hidden and swept by the next run."""
    return final.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")


def _create(path: Path, mode: int) -> int:
    """Make an empty file that was not there, and tell the rights that the umask leaves it."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(path, flags, mode)
    try:
        return os.fstat(handle).st_mode & 0o777
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    """Delete what nobody needs any more; what resists is left for the next sweep."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
