"""Can a file be read, and why could it not be written: said in words that a user can act on."""

from __future__ import annotations

import errno
from pathlib import Path

from talkcli.errors import InputError

_NO_SPACE = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def check_readable(path: str | Path, wanted: str) -> Path:
    """Refuse what cannot be a media file before a decoder gives a worse answer.

    Args:
        path: the file that the user named.
        wanted: what it should hold, with its article, for the message: "a picture".

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


def output_error(error: OSError, path: Path) -> InputError:
    """Turn the operating system's refusal to write ``path`` into cause and mend."""
    folder = path.parent
    if error.errno in _NO_SPACE:
        return no_space_error(path)
    if error.errno in _FORBIDDEN:
        return InputError(
            f"{folder} may not be written to ({error.strerror})", "choose another place with -o"
        )
    return InputError(
        f"{path} cannot be written: {error.strerror or error}", "choose another place with -o"
    )


def no_space_error(path: Path) -> InputError:
    """The disk or quota behind ``path`` is full."""
    return InputError(
        f"no space is left to write {path.name} in {path.parent}",
        "free some space or choose another place with -o",
    )
