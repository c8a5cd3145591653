"""What is wrong with a file, in words that a user can act on."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from talkcli.errors import InputError

#: Still-picture formats that Pillow may open. A list, not "all of them": EPS would run
#: Ghostscript, XBM and XPM are text files, MPEG and HDF5 are stubs that identify and then fail.
PICTURE_FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "HEIF", "ICNS", "ICO", "JPEG", "JPEG2000"),
    *("PCX", "PNG", "PPM", "PSD", "QOI", "SGI", "TGA", "TIFF", "WEBP"),
)

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


def describe(path: Path) -> str:
    """Name what a readable, non-empty file holds, article included.

    Only asked once something has gone wrong, so it may take its time: it tries the decoders.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if _looks_like_text(head):
        return "a text file"
    if _is_picture(path):
        return "a picture"
    return _film_or_sound(path) or "in no format that is known, or damaged"


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


def file_url(path: Path) -> str:
    """A name that libav takes for a local file whatever characters it holds ("a:b", "-x", "%d")."""
    return f"file:{os.path.abspath(path)}"


def _looks_like_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        # The last three bytes may be the beginning of a character.
        text = head[: max(1, len(head) - 3)].decode()
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character.isspace() for character in text)


def _is_picture(path: Path) -> bool:
    from talkcli.media.image import identify

    image = identify(path)
    if image is None:
        return False
    image.close()
    return True


def _film_or_sound(path: Path) -> str | None:
    import av

    try:
        with av.open(file_url(path)) as container:
            films = [stream for stream in container.streams.video if not is_cover_art(stream)]
            # One frame must decode: libav takes any bytes with a chance likeness for MPEG.
            next(container.decode((films or container.streams.audio)[0]))
            return "a video" if films else "a sound recording"
    except (av.FFmpegError, OSError, ValueError, IndexError, StopIteration):
        return None


def is_cover_art(stream: object) -> bool:
    """Whether a libav video stream is a still picture attached to a recording (album cover)."""
    import av.stream

    disposition = getattr(stream, "disposition", 0)
    return bool(disposition & av.stream.Disposition.attached_pic)
