"""Packs: training data in shards that are made once, may be moved, and grow where they stopped.

A pack is a folder with ``pack.json`` (what it holds and how it was made) and shards of a few
records each (safetensors). A record is a dictionary of JSON values and some named arrays; pictures
are kept as the bytes of a JPEG or PNG file. A shard appears complete or not at all, so that making
a pack may be stopped at any moment.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from talkcli.errors import InputError
from talkcli.files.atomic import write_text_atomic
from talkcli.files.check import explained_writes, parse_json, read_document
from talkcli.files.tensors import Tensors, TensorSchema
from talkcli.shapes import UInt8

SCHEMA = 1
#: Sources, used or not, after which a shard is written: half a minute of work.
SHARD_SOURCES = 16
_MEND = "make it again with: talkcli train prepare"
_SHARD = TensorSchema("shard", SCHEMA, _MEND, {})
_INDEX = "pack.json"


@dataclass(frozen=True)
class Record:
    """One piece of training data.

    Attributes:
        facts: JSON values: ``source`` (file within the data folder), ``person``, ``licence``,
            ``split`` (``train`` or ``held``), and what the kind of pack adds.
        arrays: arrays by name.
    """

    facts: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


def as_jpeg(rgb: UInt8[np.ndarray, "H W 3"], quality: int = 85) -> UInt8[np.ndarray, " n"]:
    """``[n]`` the bytes of a JPEG file of a picture ``[H, W, 3]``."""
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    return np.asarray(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]).ravel()


def as_png(plane: np.ndarray) -> UInt8[np.ndarray, " n"]:
    """``[n]`` the bytes of a PNG file of ``[H, W]`` uint8 or uint16."""
    return np.asarray(cv2.imencode(".png", plane, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]).ravel()


def picture_of(data: UInt8[np.ndarray, " n"]) -> np.ndarray:
    """The picture in the bytes of a file: ``[H, W, 3]`` uint8 RGB, or the plane ``[H, W]``."""
    picture = cv2.imdecode(np.ascontiguousarray(data), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise InputError("a picture in the pack is damaged", _MEND)
    return np.ascontiguousarray(picture[..., ::-1]) if picture.ndim == 3 else picture


class PackWriter:
    """Makes a pack, or goes on with one.

    Args:
        folder: is created if it is missing.
        kind: what its records are.
        settings: JSON values that all its records were made with.

    Attributes:
        done: sources that the pack holds or has turned down.

    Raises:
        InputError: the folder holds a pack of another kind, settings or schema.
    """

    def __init__(self, folder: Path, kind: str, settings: Mapping[str, Any]) -> None:
        self._folder = folder
        self._records: list[Record] = []
        self._skipped: list[dict[str, str]] = []
        wanted = {"schema": SCHEMA, "kind": kind, "settings": dict(settings)}
        if (folder / _INDEX).exists():
            found = _index(folder)
            if found != wanted:
                raise InputError(
                    f"the pack {folder} was made with other settings ({_apart(found, wanted)})",
                    "name another folder with -o, or delete it",
                )
        else:
            with explained_writes(folder):
                folder.mkdir(parents=True, exist_ok=True)
                write_text_atomic(folder / _INDEX, json.dumps(wanted, indent=1) + "\n")
        headers = [_SHARD.read(path)[1] for path in _shards(folder)]
        self.done = {entry["source"] for h in headers for entry in (*h["records"], *h["skipped"])}
        self._next = 1 + max((_number(path) for path in _shards(folder)), default=-1)

    def add(self, records: Sequence[Record]) -> None:
        """Add all records of one source."""
        self._records += records
        self._count({str(record.facts["source"]) for record in records})

    def skip(self, source: str, reason: str) -> None:
        """Note that a source gives no record, and why."""
        self._skipped.append({"source": source, "reason": reason})
        self._count({source})

    def _count(self, sources: set[str]) -> None:
        self.done |= sources
        waiting = {str(r.facts["source"]) for r in self._records}
        if len(waiting) + len(self._skipped) >= SHARD_SOURCES:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting as a shard."""
        if not self._records and not self._skipped:
            return
        tensors: Tensors = {}
        for number, record in enumerate(self._records):
            tensors |= {f"{number}.{name}": array for name, array in record.arrays.items()}
        facts = [dict(record.facts) for record in self._records]
        path = self._folder / f"shard-{self._next:05d}.safetensors"
        _SHARD.write(path, tensors, {"records": facts, "skipped": self._skipped})
        self._next += 1
        self._records, self._skipped = [], []


def read_pack(folder: Path, kind: str, split: str | None = None) -> Iterator[Record]:
    """The records of a pack, shard by shard.

    Args:
        folder: the pack.
        kind: what the records must be.
        split: ``train`` or ``held``; None for all.

    Raises:
        InputError: there is no pack, it is damaged, of another kind or of a newer schema.
    """
    index = _index(folder)
    if index.get("kind") != kind:
        raise InputError(
            f"the pack {folder} holds {index.get('kind')}, not {kind}", "name another one"
        )
    for path in _shards(folder):
        tensors, header = _SHARD.read(path)
        for number, facts in enumerate(header["records"]):
            if split is None or facts["split"] == split:
                start = f"{number}."
                own = {k[len(start) :]: v for k, v in tensors.items() if k.startswith(start)}
                yield Record(facts, own)


def _index(folder: Path) -> dict[str, Any]:
    path = folder / _INDEX
    if not path.is_file():
        raise InputError(
            f"there is no pack in {folder}", f"make one with: talkcli train prepare -o {folder}"
        )
    try:
        found = parse_json(read_document(path))
        schema = found["schema"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the pack {folder} is damaged ({error})", _MEND) from error
    if schema != SCHEMA:
        raise InputError(
            f"the pack {folder} has schema {schema}, this version reads {SCHEMA}",
            f"update talkcli, or {_MEND}",
        )
    return dict(found)


def _apart(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What two descriptions of packs differ in."""
    if found.get("kind") != wanted["kind"]:
        return f"it holds {found.get('kind')}"
    old, new = found.get("settings", {}), wanted["settings"]
    keys = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    return ", ".join(f"{key}: {old.get(key)}" for key in keys)


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("shard-*.safetensors"))


def _number(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])
