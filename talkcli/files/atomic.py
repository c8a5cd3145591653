"""Files and directories that appear complete or not at all, whatever stops the process."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

#: Prefix of everything still being written; the holder of the lock may delete it.
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
    """Replace the contents of ``path`` by ``text`` (UTF-8); readers see the old or the new text.

    File names that are not UTF-8 keep their bytes.
    """
    with staged_file(path) as stream:
        stream.write(text.encode(errors="surrogateescape"))


@contextmanager
def staged_file(final: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A new file beside ``final`` that takes its place when the block ends without an error.

    Args:
        final: the final path.
        mode: permissions, before the umask is applied.

    Yields:
        The binary file to write to, ``.tmp-<uuid>``.
    """
    with staged_path(final, mode) as temporary, temporary.open("r+b") as stream:
        yield stream


@contextmanager
def staged_path(final: Path, mode: int = 0o666) -> Iterator[Path]:
    """As :func:`staged_file`, for libraries that take a path and open it themselves.

    Whatever exists at ``final`` is replaced, never written through: symbolic links are not
    followed.

    Yields:
        The path to write to, an empty file ``.tmp-<uuid>``.
    """
    temporary = temporary_beside(final)
    try:
        rights = _create(temporary, mode)
        yield temporary
        # A library may have put a new file there, with permissions of its own.
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

    Every file in it reaches the disk before the rename, so that after a power cut the directory is
    either complete or absent. An existing ``final`` is replaced.

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
    """Delete what killed runs left in ``root`` and one level below; returns the number of items.

    Only for the holder of the project's lock: the temporary files of a live run look the same.
    """
    # A folder that is a link leads out of the project, to files that belong to someone else.
    folders = [root, *(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())]
    found = (path for folder in folders for path in folder.glob(f"{TEMPORARY_PREFIX}*"))
    leftovers = [path for path in found if _TEMPORARY_NAME.fullmatch(path.name)]
    for leftover in leftovers:
        _remove(leftover)
    return len(leftovers)


#: What a rename says of a directory that is in the way, by file system.
_IN_THE_WAY = {errno.EEXIST, errno.ENOTEMPTY}
#: What file systems without hard links (FAT, some network mounts) say of ``os.link``.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


def rename_new(new: Path, final: Path) -> None:
    """Rename ``new`` to ``final``, where nothing may lie but an empty directory for a directory.

    A rename would silently replace a file that another process has put there since the caller
    looked. A hard link refuses that in one step; where there are none, a look just before the
    rename must do.

    Raises:
        FileExistsError: something lies there; ``new`` is left as it was.
    """
    if new.is_dir():
        try:
            os.rename(new, final)  # refuses files, and directories that hold something
        except OSError as error:
            if error.errno in _IN_THE_WAY or isinstance(error, NotADirectoryError):
                raise FileExistsError(errno.EEXIST, "exists", os.fspath(final)) from error
            raise
        return
    try:
        os.link(new, final)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(final):
            raise FileExistsError(errno.EEXIST, "exists", os.fspath(final)) from error
        os.rename(new, final)
    else:
        new.unlink()


def replace_directory(new: Path, final: Path, aside: Path) -> None:
    """Rename ``new`` to ``final``; what lay there is removed.

    A rename onto a directory that is not empty is allowed nowhere, so the two change names, in one
    step that no kill can divide. File systems that cannot do that (NFS, for one) get two renames by
    way of ``aside``, of which the first is taken back if the second fails.
    """
    if not os.path.lexists(final):
        with suppress(FileExistsError):  # another process was quicker
            return rename_new(new, final)
    if _exchange(new, final):
        _remove(new)
    else:
        os.rename(final, aside)
        try:
            os.rename(new, final)
        except BaseException:
            os.rename(aside, final)
            raise
        _remove(aside)


#: The system call that exchanges two names in the current directory, by platform.
_EXCHANGES: dict[str, Callable[[Any, bytes, bytes], int]] = {
    # AT_FDCWD is -100, RENAME_EXCHANGE 2.
    "linux": lambda libc, one, other: libc.renameat2(-100, one, -100, other, 2),
    "darwin": lambda libc, one, other: libc.renamex_np(one, other, 2),  # RENAME_SWAP
}


def _exchange(one: Path, other: Path) -> bool:
    """Let two names change places at once; False where the system or file system cannot."""
    call = _EXCHANGES.get(sys.platform)
    if call is None:
        return False
    import ctypes  # only for a directory that is replaced: every command loads this module

    try:
        return call(ctypes.CDLL(None), os.fsencode(one), os.fsencode(other)) == 0
    except (AttributeError, OSError):  # an old C library
        return False


def fsync_path(path: Path) -> None:
    """Wait until a file's contents, or a directory's entries, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def temporary_beside(final: Path) -> Path:
    """A name in the folder of ``final`` that nobody has, hidden and swept by the next run."""
    return final.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")


def _create(path: Path, mode: int) -> int:
    """Create a new, empty file, and return its permissions under the umask."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW
    handle = os.open(path, flags, mode)
    try:
        return os.fstat(handle).st_mode & 0o777
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    """Delete what is no longer needed; what cannot be deleted is left for the next sweep."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
