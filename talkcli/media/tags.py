"""Colour tags that Pillow does not report, read from the file itself."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_PNG = b"\x89PNG\r\n\x1a\n"

#: Bytes of an ISO container that are searched for its colour box. The box stands in the header,
#: which has some kilobytes, and up to a megabyte where a tiled photograph lists its tiles.
_ISO_HEADER = 1 << 21


def colour_codes(path: Path) -> tuple[int, int] | None:
    """Code points (primaries, transfer) of PNG's ``cICP`` or a HEIF or AVIF ``nclx``, or None."""
    with path.open("rb") as file:
        head = file.read(16)
        if head.startswith(_PNG):
            return _png_codes(file)
        if head[4:8] != b"ftyp":
            return None
        file.seek(0)
        header = file.read(_ISO_HEADER)
    # The first is that of the picture itself: thumbnails and gain maps follow it.
    found = header.find(b"colrnclx")
    if found < 0 or len(header) < found + 12:
        return None
    primaries, transfer = struct.unpack_from(">HH", header, found + 8)
    return primaries, transfer


def _png_codes(file: BinaryIO) -> tuple[int, int] | None:
    file.seek(len(_PNG))
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        if kind == b"IDAT":
            return None
        if kind == b"cICP" and size == 4:
            data = file.read(4)
            return (data[0], data[1]) if len(data) == 4 else None
        file.seek(size + 4, 1)
    return None
