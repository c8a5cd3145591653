"""One writer per project directory, by a lock that the operating system frees with the process."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from talkcli.errors import InputError

log = logging.getLogger(__name__)

_POLL_S = 0.1
#: Building an avatar takes seconds; whoever waits longer than this waits for something else.
WAIT_S = 600.0


@contextmanager
def hold_lock(
    path: Path, *, wait_s: float = WAIT_S, on_wait: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold the lock file for the length of the block.

    The file names its holder for people; what counts is the lock on it, which dies with the
    process. A name found in a file that nobody locks belongs to a run that was killed.

    Args:
        path: the lock file; stays there afterwards, empty.
        wait_s: how long to wait for another process.
        on_wait: told once, when there is somebody to wait for.

    Raises:
        InputError: another process holds it for longer than ``wait_s``.
    """
    deadline = time.monotonic() + wait_s
    told = False
    # A lock file that another process creates at the same moment is the same file: no O_EXCL.
    with open(path, "a+", encoding="utf-8") as stream:
        while not _try_lock(stream):
            holder = _holder(path)
            if time.monotonic() >= deadline:
                raise InputError(
                    f"the project {path.parent} is in use by {holder}",
                    "wait for it or stop that process",
                )
            if not told and on_wait is not None:
                on_wait(f"waiting for {holder}, which works in {path.parent}")
                told = True
            time.sleep(_POLL_S)
        if path.stat().st_size:
            log.info("%s was left by %s, which is gone; resuming", path, _holder(path))
        _write(stream, json.dumps({"pid": os.getpid(), "since": time.strftime("%H:%M:%S")}))
        try:
            yield
        finally:
            _write(stream, "")


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f"process {holder['pid']} since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _write(stream: IO[str], text: str) -> None:
    stream.seek(0)
    stream.truncate()
    stream.write(text)
    stream.flush()


def _try_lock(stream: IO[str]) -> bool:
    if sys.platform == "win32":
        import msvcrt

        # Far beyond the text, so that the holder's name stays readable for the others.
        stream.seek(1 << 20)
        try:
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

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
