"""Checks whether a file can be read or written, with messages that a user can act on."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from talkcli.errors import InputError

#: Errors of the operating system if nothing more fits: disk, limit on file size, quota.
NO_SPACE = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}

#: More than any record, project file or list of faces takes: 99 faces of 30 kB at most.
DOCUMENT_BYTES = 16 << 20


def check_readable(path: str | Path, wanted: str) -> Path:
    """Reject what cannot be a media file, before a decoder fails with a less helpful message.

    Args:
        path: the file that the user named.
        wanted: what the file should be, with its article, for the message: "a picture".

    Raises:
        InputError: missing, a directory, a device, unreadable or empty.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise InputError(f"{path} is a directory, not {wanted}", "name a file in it")
        if not path.exists():
            raise InputError(f"{path} does not exist", "check the spelling")
        if not path.is_file():
            raise InputError(f"{path} is not a regular file", f"give {wanted} on disk")
        with path.open("rb") as file:
            empty = not file.read(1)
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the name.
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{path} cannot be read: {reason}", "check its name and rights") from error
    if empty:
        raise InputError(f"{path} is empty (0 bytes)", "copy or export it again")
    return path


def read_document(path: Path, limit: int = DOCUMENT_BYTES, errors: str = "strict") -> str:
    """Read a small text file that may come from a stranger.

    Devices and pipes cannot block the caller, and a huge file cannot exhaust the memory.

    Args:
        path: a regular file; a symbolic link to one is followed.
        limit: largest size that is accepted, bytes.
        errors: how to handle bytes that are not UTF-8, as in ``bytes.decode``.

    Raises:
        OSError: it cannot be opened.
        ValueError: not a regular file, larger than ``limit``, or not UTF-8.
    """
    # Without O_NONBLOCK, opening a pipe would wait for a writer.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("it is not a regular file")
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"it is larger than {limit} bytes")
    return content.decode("utf-8", errors)


def read_json(path: Path) -> Any:
    """Read a JSON file; see :func:`read_document`.

    Raises:
        OSError: it cannot be opened.
        ValueError: not JSON, a number that is not finite, or nested too deeply.
    """
    return parse_json(read_document(path))


def parse_json(text: str) -> Any:
    """Parse JSON; unlike ``json.loads``, every failure is a ValueError.

    Raises:
        ValueError: not JSON, a number that is not finite, or nested too deeply.
    """
    try:
        # A number such as 1e999 would be read as infinity; NaN and Infinity are not valid JSON.
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


@contextmanager
def explained_writes(path: Path, option: str = "-o") -> Iterator[None]:
    """Turn the operating system's refusal to write ``path`` in the block into an InputError.

    Only refusals to write are converted (full, forbidden, read-only); other errors pass through.

    Args:
        path: what is being written.
        option: the command-line option that chooses another location.

    Raises:
        InputError: the disk is full, a file may not grow any further, or permissions are missing.
    """
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE | _FORBIDDEN:
            raise output_error(error, path, option) from error
        raise


def output_error(error: OSError, path: Path, option: str = "-o") -> InputError:
    """Turn the operating system's refusal to write ``path`` into an error with a cause and a fix.

    Args:
        error: the refusal.
        path: what could not be written.
        option: the command-line option that chooses another location.
    """
    if error.errno in NO_SPACE:
        return no_space_error(path, option)
    elsewhere = f"choose another place with {option}"
    if error.errno in _FORBIDDEN:
        return InputError(f"{path.parent} may not be written to ({error.strerror})", elsewhere)
    return InputError(f"{path} cannot be written: {error.strerror or error}", elsewhere)


def no_space_error(path: Path, option: str = "-o") -> InputError:
    """The error for a full disk or quota behind ``path``, or a file at its size limit."""
    return InputError(
        f"no space is left to write {path.name} in {path.parent}",
        f"free some space or choose another place with {option}",
    )
