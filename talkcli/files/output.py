"""Outputs that appear complete or not at all among the user's files.

A run writes to a hidden file beside the output, ``.talkcli-<random>.part``, syncs it and renames
it. The file is locked while the run is alive; the lock ends with the process, so that the next run
can recognise what a killed one left behind and remove it.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import secrets
import shutil
from pathlib import Path
from types import TracebackType

from talkcli.errors import InputError
from talkcli.files.atomic import fsync_path, rename_new, replace_directory
from talkcli.files.check import output_error

_log = logging.getLogger(__name__)

#: Name of the sound beside frames, and what its header says, so that it may be overwritten.
SOUND_FILE, SOUND_MARK = "sound.wav", "written by talkcli"
_HEADER_BYTES = 4096

_PREFIX = ".talkcli-"
_SUFFIX = ".part"

#: Errors from file systems without locks (some network mounts), where nothing is swept.
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}


class PendingOutput:
    """A hidden file (or directory) that becomes ``path`` on ``commit``.

    Use it as a context manager: leaving it without ``commit`` removes the hidden file. Opening it
    removes what killed runs have left in the same directory.

    Args:
        path: the final path. Missing parents are created; a symlink is followed.
        overwrite: whether an existing output may be replaced.
        directory: write a directory of files instead of one file.

    Attributes:
        path: where the output will be.
        temp: where to write it in the meantime.

    Raises:
        InputError: the path is taken, or its folder is not writable or full.
    """

    def __init__(self, path: str | Path, *, overwrite: bool, directory: bool = False) -> None:
        self.path = _resolve(path)
        self._overwrite = overwrite
        self._directory = directory
        _refuse_taken(self.path, overwrite, directory)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            remove_stale(self.path.parent)
            self.temp, self._lock = _create_locked(self.path.parent, directory)
        except OSError as error:
            raise output_error(error, self.path) from error

    def __enter__(self) -> PendingOutput:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()

    def write(self, content: bytes | memoryview) -> None:
        """Write the whole file at once.

        Raises:
            InputError: the disk is full.
        """
        try:
            self.temp.write_bytes(content)
        except OSError as error:
            raise output_error(error, self.path) from error

    def commit(self) -> None:
        """Sync to disk and move into place.

        Raises:
            InputError: the disk is full, or the path has been taken in the meantime.
        """
        _refuse_taken(self.path, self._overwrite, self._directory)
        try:
            for file in self.temp.iterdir() if self._directory else (self.temp,):
                fsync_path(file)
            if not self._overwrite:
                rename_new(self.temp, self.path)
            elif self._directory:
                replace_directory(self.temp, self.path, self.path.parent / _hidden_name())
            else:
                os.replace(self.temp, self.path)
            fsync_path(self.path.parent)
        except FileExistsError:  # since the look above: another run was quicker
            _refuse_taken(self.path, self._overwrite, self._directory)
            raise
        except OSError as error:
            raise output_error(error, self.path) from error
        finally:
            self._unlock()

    def discard(self) -> None:
        """Remove the hidden file; harmless after ``commit`` or if called twice."""
        _remove(self.temp)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def check_output(path: str | Path, *, overwrite: bool, directory: bool = False) -> None:
    """Reject a path that cannot be written to, before any work is done.

    Writes and removes a hidden file: only that reveals permissions, read-only mounts and quotas.
    Missing parents are not created yet; the nearest existing directory is tried.

    Raises:
        InputError: as for :class:`PendingOutput`.
    """
    target = _resolve(path)
    _refuse_taken(target, overwrite, directory)
    try:
        folder = next(parent for parent in target.parents if _exists(parent))
        temp, lock = _create_locked(folder, directory)
    except OSError as error:
        raise output_error(error, target) from error
    _remove(temp)
    if lock is not None:
        os.close(lock)


def remove_stale(folder: Path) -> int:
    """Remove the hidden files of runs that are no longer alive; returns how many.

    A file that cannot be locked belongs to a live run, and one that cannot be opened belongs to
    someone else: both are left alone.
    """
    removed = 0
    for entry in list(os.scandir(folder)):
        if not (entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX)):
            continue
        try:
            lock = _open_locked(Path(entry.path))
        except OSError as error:
            _log.debug("%s stays: %s", entry.path, error)
            continue
        removed += _remove(Path(entry.path))
        os.close(lock)
    return removed


def _refuse_taken(path: Path, overwrite: bool, directory: bool) -> None:
    try:
        path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:  # too long a name, a file where a directory should be
        raise output_error(error, path) from error
    if directory and path.is_dir():
        foreign = next((f.name for f in path.iterdir() if not _is_ours(f)), None)
        if foreign is not None:
            raise InputError(
                f"{path} holds other files ({foreign})", "choose a new or empty folder with -o"
            )
        if overwrite or not any(path.iterdir()):
            return
    elif path.is_dir():
        raise InputError(f"{path} is a directory", "add a file name to -o")
    elif not path.is_file() or directory:
        kind = "a file" if path.is_file() else "not a regular file"
        raise InputError(f"{path} is {kind}", "choose another place with -o")
    elif overwrite:
        return
    raise InputError(f"{path} already exists", "use -y to overwrite it")


def _resolve(path: str | Path) -> Path:
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no usable name: {error}", "choose another with -o") from error


def _exists(path: Path) -> bool:
    """Like ``Path.exists``, but a directory that cannot be searched is an error."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def _hidden_name() -> str:
    return f"{_PREFIX}{secrets.token_hex(6)}{_SUFFIX}"


def _create_locked(folder: Path, directory: bool) -> tuple[Path, int | None]:
    """Create and lock the hidden file; start again if a sweep came in between."""
    while True:
        temp = folder / _hidden_name()
        if directory:
            temp.mkdir()
        else:
            os.close(os.open(temp, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        try:
            lock = _open_locked(temp)
        except (BlockingIOError, FileNotFoundError):
            continue  # a sweep holds it, or has already removed it
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return temp, None
        if temp.exists():
            return temp, lock
        os.close(lock)


def _open_locked(path: Path) -> int:
    """Open ``path`` and lock it.

    Raises:
        BlockingIOError: another process holds the lock.
        OSError: the file cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def _is_ours(path: Path) -> bool:
    """Whether a file was written with a folder of frames: ``00042.png``, or our ``sound.wav``."""
    if not path.is_file():
        return False
    if path.name != SOUND_FILE:
        return path.suffix == ".png" and path.stem.isdigit()
    try:
        with path.open("rb") as file:
            return SOUND_MARK.encode() in file.read(_HEADER_BYTES)
    except OSError:
        return False


def _remove(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        # A dying encoder may still add a file, which the next run then removes.
        shutil.rmtree(path, ignore_errors=True)
    else:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("%s could not be removed: %s", path, error)
    return not path.exists()
