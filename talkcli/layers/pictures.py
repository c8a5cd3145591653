"""Many small pictures in one file, each decoded when it is asked for.

The file is a safetensors file with two tensors: the encoded bytes of all pictures one after the
other, and where each of them ends. Pictures are read from the file one by one; memory does not grow
with their number.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from talkcli.errors import InputError
from talkcli.shapes import UInt8

#: Encoders of colour pictures (JPEG without chroma subsampling) and of mattes (PNG, quickly).
_JPEG = (
    *(cv2.IMWRITE_JPEG_QUALITY, 95),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 2)
_BYTES, _ENDS = "bytes", "ends"
#: More than any encoded crop takes; a file that claims more is not ours.
_LARGEST = 1 << 24


def encode_picture(picture: UInt8[np.ndarray, ...]) -> bytes:
    """Encode ``[H, W, 3]`` sRGB as JPEG, or ``[H, W]`` as PNG, which is lossless."""
    if picture.ndim == 3:
        done, data = cv2.imencode(".jpg", picture[..., ::-1], _JPEG)
    else:
        done, data = cv2.imencode(".png", picture, _PNG)
    assert done
    return data.tobytes()


def decode_picture(data: bytes | np.ndarray, *, colour: bool) -> UInt8[np.ndarray, ...]:
    """The picture that :func:`encode_picture` encoded: ``[H, W, 3]`` or ``[H, W]`` uint8.

    Args:
        data: encoded bytes.
        colour: whether it is a colour picture.

    Raises:
        ValueError: it cannot be decoded.
    """
    way = cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE
    found = cv2.imdecode(np.frombuffer(data, np.uint8), way)
    if found is None:
        raise ValueError("a stored picture cannot be decoded")
    return cv2.cvtColor(found, cv2.COLOR_BGR2RGB) if colour else found


def write_roll(path: Path, pictures: Sequence[bytes]) -> None:
    """Write encoded pictures into a file that nothing reads yet.

    Args:
        path: the file.
        pictures: what :func:`encode_picture` gave.

    Raises:
        OSError: the disk is full.
    """
    ends = np.cumsum([len(part) for part in pictures], dtype=np.int64)
    first, total = 8 * len(pictures), sum(len(part) for part in pictures)
    header = {
        _ENDS: {"dtype": "I64", "shape": [len(pictures)], "data_offsets": [0, first]},
        _BYTES: {"dtype": "U8", "shape": [total], "data_offsets": [first, first + total]},
    }
    # Written by hand, since the library would copy all pictures twice. The format: length of the
    # header, eight bytes; the header, JSON padded with spaces to a multiple of eight; the tensors.
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        file.write(ends.astype("<i8").tobytes())
        file.writelines(pictures)


class Roll:
    """Pictures of one size in a file of :func:`write_roll`.

    Args:
        path: the file.
        side: pixels of the square pictures.
        colour: whether they are ``[S, S, 3]`` or ``[S, S]``.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not such a file.
    """

    def __init__(self, path: Path, side: int, *, colour: bool) -> None:
        from safetensors import SafetensorError, safe_open

        self._path, self._side, self._colour = path, side, colour
        try:
            self._file = safe_open(path, framework="np").__enter__()
            self._ends = np.asarray(self._file.get_tensor(_ENDS))
            self._bytes = self._file.get_slice(_BYTES)
        except SafetensorError as error:
            raise ValueError(str(error)) from error
        ends = self._ends
        total = self._bytes.get_shape()
        if ends.dtype != np.int64 or ends.ndim != 1 or self._bytes.get_dtype() != "U8":
            raise ValueError("it does not hold pictures")
        lengths = np.diff(ends, prepend=0)
        if total != [int(ends[-1]) if len(ends) else 0] or (lengths <= 0).any():
            raise ValueError("its pictures do not fill it")
        if len(lengths) and lengths.max() > _LARGEST:
            raise ValueError("a picture is too large")

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, ...]:
        """One picture, decoded (1 to 3 ms).

        Raises:
            InputError: its bytes are damaged.
        """
        first = int(self._ends[index - 1]) if index else 0
        data = self._bytes[first : int(self._ends[index])]
        try:
            picture = decode_picture(data, colour=self._colour)
            if picture.shape[:2] != (self._side, self._side):
                raise ValueError(f"a picture of {picture.shape[1]}x{picture.shape[0]} pixels")
        except ValueError as error:
            raise InputError(
                f"{self._path} is damaged ({error})", "make it again with: talkcli preprocess CLIP"
            ) from error
        return picture
