"""Trained weights of the decoder: which are meant by a setting, and their file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from talkcli.errors import InputError, MissingDependencyError
from talkcli.files.check import check_readable
from talkcli.files.tensors import Header, Tensors, TensorSchema
from talkcli.weights.registry import SHIPPED, shipped

if TYPE_CHECKING:
    from talkcli.engines.mggtalk.nets import DecoderSize, OffsetDecoder

SCHEMA = 1
NONE = "none"
_KIND = "mggtalk decoder"
_MEND = "give --set mggtalk.weights=FILE with a file that talkcli train mggtalk has written"
#: Tensors kept in half precision: what they hold is far coarser.
_HALVES = ("common", "network.")
_FAR = 1e4


def weights_path(setting: str) -> Path | None:
    """The file that ``mggtalk.weights`` means: None for no weights.

    Args:
        setting: ``none``, ``mggtalk-research`` for the shipped weights, or a path.

    Raises:
        InputError: there is no such file.
    """
    if setting == NONE:
        return None
    path = shipped(setting) if setting in SHIPPED else Path(setting)
    check_readable(path, "a file of weights")
    return path


def save_decoder(path: Path, decoder: OffsetDecoder, told: Mapping[str, Any]) -> None:
    """Write trained weights.

    Args:
        path: a ``.safetensors`` file.
        decoder: what to write.
        told: JSON values about the training, kept in the header.

    Raises:
        InputError: the file cannot be written.
    """
    tensors: Tensors = {}
    for name, value in decoder.state_dict().items():
        half = name.startswith(_HALVES)
        if name == "common":
            value = value[:, _kept(decoder)]
        tensors[name] = value.detach().cpu().numpy().astype(np.float16 if half else np.float32)
    header: Header = {"kind": _KIND, "size": asdict(decoder.size), "training": dict(told)}
    _FILE.write(path, tensors, header)


def load_decoder(path: Path) -> OffsetDecoder:
    """Read trained weights.

    Raises:
        InputError: the file is missing, damaged, of a newer schema, or holds other weights.
        MissingDependencyError: torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError(
            "the weights of mggtalk need torch, which is not installed", "run: pip install torch"
        ) from error

    from talkcli.engines.mggtalk.nets import OffsetDecoder

    tensors, header = _FILE.read(path)
    if header.get("kind") != _KIND:
        raise InputError(f"{path} holds no weights of the mggtalk decoder", _MEND)
    try:
        size = _size(header["size"])
        decoder = OffsetDecoder(size, torch.zeros(57), torch.ones(57))
        found = {name: torch.from_numpy(array) for name, array in tensors.items()}
        common = torch.zeros_like(decoder.common)
        # Channels that are never used are not stored; a wrong number of them does not fit.
        common[:, _kept(decoder)] = found["common"]
        found["common"] = common
        decoder.load_state_dict(found)
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"the weights {path} do not fit the decoder ({reason})", _MEND) from error
    return decoder.eval()


def _kept(decoder: OffsetDecoder) -> list[int]:
    """Numbers of the maps' channels that the decoder uses."""
    return [number for number, kept in enumerate(decoder.kept.flatten().tolist()) if kept]


def _size(found: Mapping[str, Any]) -> DecoderSize:
    """The size that a header states.

    Raises:
        ValueError: no decoder has it.
    """
    from talkcli.engines.mggtalk.nets import DecoderSize

    parts = (bool(found["shades"]), bool(found["inside"]))
    size = DecoderSize(found["shapes"], found["hidden"], tuple(found["widths"]), *parts)
    numbers = (size.shapes, size.hidden, *size.widths)
    if not all(type(n) is int and 0 < n <= 1024 for n in numbers) or len(size.widths) > 6:
        raise ValueError(f"its size is {dict(found)}")
    if any(width % 8 for width in size.widths):
        raise ValueError("its widths are no multiples of 8")
    return size


_FILE = TensorSchema(title="file of weights", version=SCHEMA, mend=_MEND, rules={})
