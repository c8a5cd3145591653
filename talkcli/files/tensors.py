"""Named arrays in a file: safetensors with a JSON header that describes them.

All of talkcli's files that keep arrays for longer than a run are written and read here. The header
is stored in the metadata of the safetensors file, under the key ``talkcli``, and holds the schema
version. Files of an older schema are migrated when they are read. Contents that violate the schema,
such as an index beyond the end of its array, are rejected, since compiled code would follow it out
of its memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from talkcli.errors import InputError
from talkcli.files.atomic import staged_path
from talkcli.files.check import explained_writes, parse_json, read_document

Tensors = dict[str, np.ndarray]
Header = dict[str, Any]
Migration = Callable[[Tensors, Header], None]

_KEY = "talkcli"
#: How the safetensors library, written in Rust, reports an error of the operating system.
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


@dataclass(frozen=True)
class Rule:
    """The requirements for an array.

    Attributes:
        shape: sizes separated by spaces, each a number, or a name that stands for the same number
            throughout the file: ``"V 3"``.
        kind: numpy's letter for the kind of number: ``f``, ``i`` or ``u``.
        low: smallest allowed value.
        high: largest allowed value; a name from ``shape`` means one less than its number, for
            indices.
        optional: whether the array may be missing.
    """

    shape: str
    kind: str = "f"
    low: float | None = None
    high: float | str | None = None
    optional: bool = False


@dataclass(frozen=True)
class TensorSchema:
    """The schema of one kind of file.

    Attributes:
        title: what the file is, for messages: "face model".
        version: schema version that :meth:`write` writes.
        mend: how to fix a file that cannot be used, for messages.
        rules: requirements by array name; arrays without a rule only have to be finite.
        migrations: ``{n: function}`` that converts the contents from version n to n + 1.
    """

    title: str
    version: int
    mend: str
    rules: Mapping[str, Rule]
    migrations: Mapping[int, Migration] = field(default_factory=dict)

    def write(self, path: Path, tensors: Mapping[str, np.ndarray], header: Header) -> None:
        """Write a file that appears complete or not at all.

        Args:
            path: path of the file; its folder must exist.
            tensors: arrays by name.
            header: JSON values; the version is added.

        Raises:
            InputError: the disk is full, or the folder is not writable.
        """
        with explained_writes(path), staged_path(path) as temporary:
            self.save(temporary, tensors, header)

    def save(self, path: Path, tensors: Mapping[str, np.ndarray], header: Header) -> None:
        """Write a file where nothing reads yet: in a folder that appears complete or not at all.

        Args:
            path: as for :meth:`write`.
            tensors: as for :meth:`write`.
            header: as for :meth:`write`.

        Raises:
            OSError: the disk is full, or the folder is not writable.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        packed = {name: np.asarray(array, order="C") for name, array in tensors.items()}
        metadata = {_KEY: json.dumps({"schema": self.version, **header})}
        try:
            save_file(packed, path, metadata)
        except SafetensorError as error:
            told = _OS_ERROR.search(str(error))
            if told is None:
                raise
            raise OSError(int(told.group(1)), str(error), str(path)) from error

    def read(self, path: Path, old_header: Path | None = None) -> tuple[Tensors, Header]:
        """Read, check and migrate the arrays and the header of a file.

        Half-precision floats, which save disk space, are returned in single precision.

        Args:
            path: path of the file.
            old_header: JSON file with the header of a file that has none of its own.

        Raises:
            InputError: missing, damaged, of a newer schema, or with contents that violate it.
        """
        from safetensors import SafetensorError

        try:
            tensors, header = _read(path, old_header)
            version = header.get("schema")
            known = [*self.migrations, self.version]
            if version not in known:
                raise InputError(
                    f"the {self.title} {path} has schema {version}, this version reads "
                    f"{' and '.join(map(str, known))}",
                    f"update talkcli, or {self.mend}",
                )
            for migrate in list(self.migrations.values())[known.index(version) :]:
                migrate(tensors, header)
            self.check(tensors)
        except (OSError, SafetensorError) as error:
            reason = f"cannot be read ({error})"
            raise InputError(f"the {self.title} {path} {reason}", self.mend) from error
        except (ValueError, KeyError, TypeError, IndexError) as error:
            reason = f"lacks {error}" if isinstance(error, KeyError) else f"is damaged ({error})"
            raise InputError(f"the {self.title} {path} {reason}", self.mend) from error
        return tensors, header

    def check(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Reject arrays that violate the rules.

        Raises:
            KeyError: an array is missing.
            ValueError: an array has the wrong shape or type, is out of range, or is not finite.
        """
        sizes: dict[str, int] = {}
        for name, rule in self.rules.items():
            if name in tensors:
                _check_shape(name, tensors[name], rule, sizes)
            elif not rule.optional:
                raise KeyError(name)
        for name, array in tensors.items():
            _check_values(name, array, self.rules.get(name), sizes)


def _read(path: Path, old_header: Path | None) -> tuple[Tensors, Header]:
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        text = (file.metadata() or {}).get(_KEY)
        if text is None and old_header is not None:
            text = read_document(old_header)
        header = parse_json(text or "{}")
        if not isinstance(header, dict):
            raise ValueError("its header is no table")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    halves = [name for name, array in tensors.items() if array.dtype == np.float16]
    return tensors | {name: tensors[name].astype(np.float32) for name in halves}, header


def _check_shape(name: str, array: np.ndarray, rule: Rule, sizes: dict[str, int]) -> None:
    words = rule.shape.split()
    fits = len(words) == array.ndim and array.dtype.kind == rule.kind
    for word, size in zip(words, array.shape, strict=False):
        fits &= size == (int(word) if word.isdecimal() else sizes.setdefault(word, size))
    if not fits:
        found = f"{array.dtype} {list(array.shape)}"
        raise ValueError(f"{name} is {found} where {rule.kind} [{', '.join(words)}] belongs")


def _check_values(
    name: str, array: np.ndarray, rule: Rule | None, sizes: Mapping[str, int]
) -> None:
    if not array.size:
        return
    low, high = array.min(), array.max()
    # The minimum and maximum of numbers with a NaN among them are NaN.
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"{name} is not finite")
    if rule is None:
        return
    most = sizes[rule.high] - 1 if isinstance(rule.high, str) else rule.high
    if (rule.low is not None and low < rule.low) or (most is not None and high > most):
        raise ValueError(f"{name} reaches from {low} to {high}, out of its range")
