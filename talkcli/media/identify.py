"""What is wrong with a file, in words that a user can act on."""

from __future__ import annotations

import os
import warnings
from functools import lru_cache
from pathlib import Path

from PIL import Image

from talkcli.errors import InputError

#: Still-picture formats that Pillow may open. A list, not "all of them": EPS would run
#: Ghostscript, XBM and XPM are text files, MPEG and HDF5 are stubs that identify and then fail.
PICTURE_FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "HEIF", "ICNS", "ICO", "JPEG", "JPEG2000"),
    *("PCX", "PNG", "PPM", "PSD", "QOI", "SGI", "TGA", "TIFF", "WEBP"),
)


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


#: Largest picture that is decoded. 100 megapixels are 400 MB as RGBA; phones make 50.
MAX_PIXELS = 100_000_000


def identify(path: Path) -> Image.Image | None:
    """Open a picture lazily (header only), or return None when no decoder knows it."""
    formats = _load_decoders()
    try:
        with warnings.catch_warnings():
            # Of odd tags, which do not matter, and of the size, which the caller checks.
            warnings.simplefilter("ignore")
            return Image.open(path, formats=formats)
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path} has too many pixels ({error})",
            f"resize it to at most {MAX_PIXELS // 10**6} megapixels",
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError):
        return None


@lru_cache(maxsize=1)
def _load_decoders() -> tuple[str, ...]:
    """Load Pillow's decoders and HEIC's; returns the wanted ones that this build has."""
    import pillow_heif

    Image.init()
    pillow_heif.register_heif_opener()
    return tuple(name for name in PICTURE_FORMATS if name in Image.OPEN)
