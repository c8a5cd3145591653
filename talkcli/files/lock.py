"""One writer per project directory, by a lock that the system releases when its process ends."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from talkcli.errors import InputError
from talkcli.files.check import parse_json

log = logging.getLogger(__name__)

_POLL_S = 0.1
#: Building an avatar takes seconds; a longer wait than this means that something is wrong.
WAIT_S = 600.0


@contextmanager
def hold_lock(
    path: Path, *, wait_s: float = WAIT_S, on_wait: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold the lock file for the duration of the block.

    The text in the file names its holder for people to read; what counts is the lock on it, which
    ends with the process. A name in a file that is not locked belongs to a run that was killed.

    Args:
        path: the lock file, which is left behind empty.
        wait_s: how long to wait for another process.
        on_wait: called once with a message if another process holds the lock.

    Raises:
        InputError: another process holds the lock for longer than ``wait_s``, or ``path`` is not a
            lock file: writing to it would destroy it.
        OSError: the file cannot be created.
    """
    deadline = time.monotonic() + wait_s
    told = False
    while True:
        with _open(path) as stream:
            while not _try_lock(stream):
                holder = _holder(_text(stream))
                if time.monotonic() >= deadline:
                    raise InputError(
                        f"the project {path.parent} is in use by {holder}",
                        "wait for it or stop that process",
                    )
                if not told and on_wait is not None:
                    on_wait(f"waiting for {holder}, which works in {path.parent}")
                    told = True
                time.sleep(_POLL_S)
            if not _is_at(stream, path):
                continue  # removed with its project while this process waited
            text = _text(stream)
            # After a power cut a file may have its length but only zeros for its contents.
            if text.strip("\0") and _holder_in(text) is None:
                raise _foreign(path, "a file with other contents")
            if text:
                log.info("%s was left by %s, which is gone; resuming", path, _holder(text))
            _write(stream, json.dumps({"pid": os.getpid(), "since": time.strftime("%H:%M:%S")}))
            try:
                yield
            finally:
                _write(stream, "")
            return


def _open(path: Path) -> FileIO:
    """Open or create the lock file, and make sure that it is an ordinary file without other names.

    A project may come from a stranger: a link named ``.lock`` would get its target emptied, and
    opening a pipe would block.
    """
    # No O_EXCL: a lock file that another process creates at the same moment is the right one.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        handle = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno in _NO_LOCK_FILE:
            raise _foreign(path, "a link, folder or device") from error
        raise
    stream = FileIO(handle, "r+")
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        stream.close()
        raise _foreign(path, "a link or device")
    return stream


#: Errors from opening a symbolic link, a directory, a pipe without a reader or a socket.
_NO_LOCK_FILE = {errno.ELOOP, errno.EMLINK, errno.EISDIR, errno.ENXIO}


def _foreign(path: Path, what: str) -> InputError:
    return InputError(f"{path} is {what}, not talkcli's lock", "move it away or choose another -p")


def _is_at(stream: FileIO, path: Path) -> bool:
    """Whether the open file is still the one at this path."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.lstat())
    except FileNotFoundError:
        return False


def _text(stream: FileIO) -> str:
    """The start of the file; the text of a lock is about 40 bytes long."""
    stream.seek(0)
    return (stream.read(256) or b"").decode("utf-8", errors="replace")


def _holder(text: str) -> str:
    return _holder_in(text) or "another process"


def _holder_in(text: str) -> str | None:
    try:
        holder = parse_json(text)
        return f"process {holder['pid']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return None


def _write(stream: FileIO, text: str) -> None:
    stream.seek(0)
    stream.truncate()
    stream.write(text.encode())


def _try_lock(stream: FileIO) -> bool:
    try:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            log.warning("%s: this file system knows no locks; run one talkcli at a time", error)
            return True
        raise
    return True
