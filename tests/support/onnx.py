"""ONNX files of tiny networks, written byte by byte: the format is protobuf's."""

from __future__ import annotations

from pathlib import Path

_FLOAT = 1


def _number(value: int) -> bytes:
    """A base-128 varint."""
    found = bytearray()
    while True:
        value, low = value >> 7, value & 127
        found.append(low | (128 if value else 0))
        if not value:
            return bytes(found)


def _whole(field: int, value: int) -> bytes:
    return _number(field << 3) + _number(value)


def _part(field: int, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return _number(field << 3 | 2) + _number(len(content)) + content


def _tensor(name: str, sizes: list[int | str]) -> bytes:
    """A ValueInfoProto: name, element type and shape."""
    shape = b"".join(
        _part(1, _whole(1, size) if isinstance(size, int) else _part(2, size)) for size in sizes
    )
    return _part(1, name) + _part(2, _part(1, _whole(1, _FLOAT) + _part(2, shape)))


def write_network(path: Path, sizes: list[int | str], kind: str = "ReduceMean") -> Path:
    """A network whose result is the mean over the channels, or what another operation gives.

    Args:
        path: the file.
        sizes: of its input.
        kind: the operation, one of one input and one output.
    """
    axes = _part(1, "axes") + _whole(8, 1) + _whole(20, 7)
    node = _part(1, "picture") + _part(2, "depth") + _part(4, kind)
    if kind == "ReduceMean":
        node += _part(5, axes)
    graph = _part(1, node) + _part(2, "tiny")
    # The result's shape is left open.
    result = _part(1, "depth") + _part(2, _part(1, _whole(1, _FLOAT)))
    graph += _part(11, _tensor("picture", sizes)) + _part(12, result)
    path.write_bytes(_whole(1, 7) + _part(7, graph) + _part(8, _part(1, "") + _whole(2, 13)))
    return path
