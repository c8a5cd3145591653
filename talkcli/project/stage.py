"""Stages, their keys, and the record of each run."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from talkcli import __version__
from talkcli.errors import InputError
from talkcli.files.atomic import sha256_file
from talkcli.files.check import read_document, read_json

#: The file that marks a directory as an entry; it is written last.
RECORD_NAME = "stage.json"
RECORD_SCHEMA = 1
#: Entries are named after this many hex digits of the key; the record holds all 64.
SHORT_KEY = 12
_KEY = re.compile("[0-9a-f]{64}")
#: Libraries whose version affects the results; recorded with every run, not part of the key.
_RECORDED_LIBRARIES = ("numpy", "torch", "numba", "mediapipe", "scipy", "gsplat")


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline, with everything that its result depends on.

    Attributes:
        name: folder of the stage inside the project directory.
        version: increased by hand whenever the code of the stage gives a different result.
        recipe: the settings that the stage reads, JSON values only.
        upstream: SHA-256 of every input, by name: the user's files or outputs of other stages.
        check: inspects the outputs and raises InputError or ValueError if the stage cannot have
            written them. Hashes show that nothing has changed, but a project may come from a
            stranger.
    """

    name: str
    version: int
    recipe: Mapping[str, Any] = field(default_factory=dict)
    upstream: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[Path], object] | None = field(default=None, compare=False, repr=False)

    @property
    def key(self) -> str:
        """64 hex digits for this stage and its inputs, regardless of back-end and machine."""
        return digest_json(
            {
                "stage": self.name,
                "stage_version": self.version,
                "recipe": self.recipe,
                "upstream": self.upstream,
            }
        )


@dataclass(frozen=True)
class StageRun:
    """A finished entry of a stage.

    Attributes:
        name: name of the stage.
        key: 64 hex digits.
        path: the directory with the outputs.
        executed: False if the entry already existed.
        seconds: time taken to make or check it in this run.
        output_hash: SHA-256 over the names and hashes of all outputs, for stages that build on it.
        recipe: the settings that it was made with.
    """

    name: str
    key: str
    path: Path
    executed: bool
    seconds: float
    output_hash: str
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The run as shown by ``--json``."""
        return {
            "stage": self.name,
            "status": "executed" if self.executed else "reused",
            "key": self.key[:SHORT_KEY],
            "seconds": round(self.seconds, 3),
            "path": str(self.path.absolute()),
        }


class DamagedEntryError(Exception):
    """The record or the outputs of an entry were altered. Never raised outside this package."""


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces and ASCII only, so that equal values give equal bytes."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def digest_json(value: Any) -> str:
    """SHA-256 of the canonical JSON of a value, as 64 hex digits."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()


def hash_outputs(directory: Path) -> dict[str, dict[str, Any]]:
    """``{relative path: {"sha256", "bytes"}}`` of every file in an entry except its record."""
    outputs = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_file() and name != RECORD_NAME:
            outputs[name] = {"sha256": sha256_file(path), "bytes": path.stat().st_size}
    return outputs


def make_record(stage: Stage, directory: Path, seconds: float, run: Mapping[str, Any]) -> str:
    """The contents of ``stage.json`` for the outputs in ``directory``.

    Args:
        stage: the stage that ran.
        directory: where the outputs are.
        seconds: how long it took.
        run: values recorded without being part of the key (seed, back-end).
    """
    record = {
        "schema": RECORD_SCHEMA,
        "stage": stage.name,
        "stage_version": stage.version,
        "key": stage.key,
        "recipe": dict(stage.recipe),
        "upstream": dict(stage.upstream),
        "run": dict(run),
        "versions": _versions(),
        "seconds": round(seconds, 3),
        "outputs": hash_outputs(directory),
    }
    return json.dumps(record, indent=1, sort_keys=True) + "\n"


def read_record(directory: Path, check: Callable[[Path], object] | None = None) -> dict[str, Any]:
    """Read and verify the record of an entry.

    Args:
        directory: directory of the entry.
        check: check of the stage, see :class:`Stage`.

    Raises:
        DamagedEntryError: the record is missing, unreadable or of another schema; an output is
            missing, changed or not recorded; or ``check`` rejects the outputs.
    """
    try:
        record = read_json(directory / RECORD_NAME)
    except (OSError, ValueError) as error:
        raise DamagedEntryError(f"{RECORD_NAME} cannot be read ({error})") from error
    if not isinstance(record, dict) or record.get("schema") != RECORD_SCHEMA:
        raise DamagedEntryError(f"{RECORD_NAME} has an unknown schema")
    key, outputs = record.get("key"), record.get("outputs")
    if not isinstance(record.get("recipe"), dict):
        raise DamagedEntryError(f"{RECORD_NAME} is incomplete")
    if not isinstance(key, str) or not isinstance(outputs, dict):
        raise DamagedEntryError(f"{RECORD_NAME} is incomplete")
    if not _KEY.fullmatch(key):
        raise DamagedEntryError(f"{RECORD_NAME} has no key")
    try:
        # A link could make files outside the project appear to belong to it.
        if directory.is_symlink() or any(path.is_symlink() for path in directory.rglob("*")):
            raise DamagedEntryError("it holds links")
        found = hash_outputs(directory)
    except OSError as error:
        raise DamagedEntryError(f"an output cannot be read ({error})") from error
    if found != outputs:
        wrong = sorted(name for name in {*found, *outputs} if found.get(name) != outputs.get(name))
        raise DamagedEntryError(f"{', '.join(wrong[:5])} changed after the run")
    try:
        if check is not None:
            check(directory)
    except (InputError, ValueError) as error:
        raise DamagedEntryError(str(error)) from error
    return record


def pointed_entry(pointer: Path) -> Path | None:
    """The entry named by a stage's ``current`` file, or None if it names none."""
    try:
        name = read_document(pointer, 64).strip()
    except (OSError, ValueError):
        return None
    return pointer.with_name(name) if re.fullmatch(f"[0-9a-f]{{{SHORT_KEY}}}", name) else None


def output_hash(record: Mapping[str, Any]) -> str:
    """One SHA-256 for all outputs of an entry."""
    return digest_json({name: info["sha256"] for name, info in record["outputs"].items()})


def digest_outputs(directory: Path) -> str:
    """:func:`output_hash` of an entry that holds these files."""
    return output_hash({"outputs": hash_outputs(directory)})


def _versions() -> dict[str, str]:
    versions = {"talkcli": __version__, "python": platform.python_version()}
    for library in _RECORDED_LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return versions
