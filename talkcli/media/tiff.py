"""TIFFs of floating-point colours, which Pillow does not read."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from talkcli.errors import InputError

#: struct's letters by the type of a field.
_TYPES = {1: "B", 3: "H", 4: "I", 7: "B"}
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _STRIP_ROWS, _STRIP_BYTES, _PLANAR, _PREDICTOR = 273, 277, 278, 279, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325
_SAMPLE_FORMAT, _PROFILE = 339, 34675
_FLOAT, _RGB, _SEPARATE, _FLOAT_PREDICTOR = 3, 2, 2, 3
_NONE, _DEFLATE, _OLD_DEFLATE = 1, 8, 32946

#: Values of one field. A 25-megapixel picture in tiles of 64² has 6,000 of them; a damaged count
#: must not take the memory.
_MOST_VALUES = 1 << 24


@dataclass(frozen=True)
class FloatTiff:
    """The directory of a TIFF whose samples are floating-point colours.

    Attributes:
        path: the file.
        order: ``<`` or ``>``, as in :mod:`struct`.
        fields: values by tag.
    """

    path: Path
    order: str
    fields: dict[int, tuple[int, ...]]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._one(_WIDTH, 0), self._one(_HEIGHT, 0)

    @property
    def profile(self) -> bytes | None:
        """ICC profile, or None."""
        return bytes(self.fields[_PROFILE]) if _PROFILE in self.fields else None

    def read(self) -> np.ndarray:
        """Decode the samples as they are stored: ``[H, W, samples]`` float32.

        Raises:
            InputError: compressed or arranged in a way that is not supported; or damaged.
        """
        width, height = self.size
        samples, bits = self._one(_SAMPLES, 1), self._one(_BITS, 1)
        compression, predictor = self._one(_COMPRESSION, _NONE), self._one(_PREDICTOR, 1)
        if (
            compression not in (_NONE, _DEFLATE, _OLD_DEFLATE)
            or predictor not in (1, _FLOAT_PREDICTOR)
            or bits not in (16, 32, 64)
            or self._one(_PHOTOMETRIC, _RGB) != _RGB
            or samples not in (3, 4)
        ):
            raise InputError(
                f"{self.path} is a TIFF of {samples} {bits}-bit floating-point samples in a form "
                f"that is not supported (compression {compression}, predictor {predictor})",
                "export it as 8- or 16-bit TIFF or PNG",
            )
        planes = samples if self._one(_PLANAR, 1) == _SEPARATE else 1
        depth = samples // planes
        tiled = _TILES in self.fields
        if tiled:
            columns, rows = self._one(_TILE_WIDTH, 0), self._one(_TILE_HEIGHT, 0)
        else:
            columns, rows = width, min(self._one(_STRIP_ROWS, height), height)
        if not (0 < columns <= 2 * width + 64 and 0 < rows <= 2 * height + 64):
            raise _damaged(self.path)
        result = np.zeros((height, width, samples), np.float32)
        offsets = iter(self.fields.get(_TILES if tiled else _STRIPS, ()))
        sizes = iter(self.fields.get(_TILE_BYTES if tiled else _STRIP_BYTES, ()))
        with self.path.open("rb") as file:
            for plane in range(planes):
                into = result[..., plane : plane + 1] if planes > 1 else result
                for top in range(0, height, rows):
                    high = rows if tiled else min(rows, height - top)
                    for left in range(0, width, columns):
                        place = next(offsets, 0), next(sizes, 0)
                        part = self._piece(file, place, (high, columns, depth))
                        target = into[top : top + rows, left : left + columns]
                        target[:] = part[: target.shape[0], : target.shape[1]]
        return result

    def _piece(
        self, file: BinaryIO, place: tuple[int, int], shape: tuple[int, int, int]
    ) -> np.ndarray:
        """One strip or tile, ``shape`` of float32."""
        bits = self._one(_BITS, 1)
        expected = shape[0] * shape[1] * shape[2] * bits // 8
        file.seek(place[0])
        data = file.read(min(place[1], 2 * expected + 1024))
        if self._one(_COMPRESSION, _NONE) != _NONE:
            try:
                data = zlib.decompressobj().decompress(data, expected)
            except zlib.error as error:
                raise _damaged(self.path) from error
        if len(data) < expected:
            raise _damaged(self.path)
        data = data[:expected]
        if self._one(_PREDICTOR, 1) == _FLOAT_PREDICTOR:
            # Rows hold the first bytes of all samples, then the second ones, each as differences.
            raw = np.frombuffer(data, np.uint8).reshape(shape[0], -1, shape[2])
            planes = np.cumsum(raw, 1, dtype=np.uint8).reshape(shape[0], bits // 8, -1)
            data = np.ascontiguousarray(planes.swapaxes(1, 2)).tobytes()
            kind = f">f{bits // 8}"
        else:
            kind = f"{self.order}f{bits // 8}"
        with np.errstate(over="ignore"):
            return np.frombuffer(data, kind).reshape(shape).astype(np.float32)

    def _one(self, tag: int, default: int) -> int:
        values = self.fields.get(tag)
        return values[0] if values else default


def float_tiff(path: Path) -> FloatTiff | None:
    """Read the first directory of a TIFF; None when its samples are no floats, or it is no TIFF."""
    with path.open("rb") as file:
        head = file.read(8)
        if len(head) < 8 or head[:4] not in (b"II*\0", b"MM\0*"):
            return None
        order = "<" if head[:2] == b"II" else ">"
        try:
            fields = _fields(file, order, struct.unpack(order + "I", head[4:])[0])
        except (struct.error, OSError, OverflowError):
            return None
    tiff = FloatTiff(path, order, fields)
    return tiff if fields.get(_SAMPLE_FORMAT, (1,))[0] == _FLOAT else None


def _fields(file: BinaryIO, order: str, start: int) -> dict[int, tuple[int, ...]]:
    file.seek(start)
    (entries,) = struct.unpack(order + "H", file.read(2))
    fields = {}
    for tag, kind, count, inline in struct.iter_unpack(order + "HHI4s", file.read(12 * entries)):
        if kind not in _TYPES or count > _MOST_VALUES:
            continue
        form = f"{order}{count}{_TYPES[kind]}"
        size = struct.calcsize(form)
        raw = inline[:size]
        if size > 4:
            file.seek(struct.unpack(order + "I", inline)[0])
            raw = file.read(size)
        if len(raw) == size:
            fields[tag] = struct.unpack(form, raw)
    return fields


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is truncated or damaged", "copy or export it again")
