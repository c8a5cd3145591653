"""The project directory: inputs, stages that run once, and the records of both.

``docs/project_format.md`` describes the files on disk.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkcli import toml
from talkcli.errors import InputError
from talkcli.files.atomic import (
    sha256_file,
    staged_directory,
    sweep_temporaries,
    write_text_atomic,
)
from talkcli.files.check import NO_SPACE, explained_writes, no_space_error, read_document
from talkcli.files.lock import WAIT_S, hold_lock
from talkcli.project.stage import (
    RECORD_NAME,
    SHORT_KEY,
    DamagedEntryError,
    Stage,
    StageRun,
    make_record,
    output_hash,
    pointed_entry,
    read_record,
)
from talkcli.runtime import cache_root

log = logging.getLogger(__name__)

PROJECT_FILE = "project.toml"
LOCK_FILE = ".lock"
CURRENT = "current"
#: Increased when the previous version cannot read a directory written by this one.
PROJECT_SCHEMA = 1
#: Errors from reading a project file that is damaged or was edited by hand.
_UNREADABLE = (OSError, ArithmeticError, LookupError, AttributeError, ValueError, TypeError)


@dataclass(frozen=True)
class ProjectInput:
    """One of the user's files that the project was made from.

    Attributes:
        path: absolute path of the file at that time.
        sha256: hash of its contents, 64 hex digits.
        size: size in bytes.
    """

    path: Path
    sha256: str
    size: int

    @staticmethod
    def of(path: Path) -> ProjectInput:
        """Hash an existing file."""
        return ProjectInput(path.resolve(), sha256_file(path), path.stat().st_size)

    def unchanged(self) -> bool:
        """Whether the file still exists with the same contents."""
        if not self.path.is_file() or self.path.stat().st_size != self.size:
            return False
        return sha256_file(self.path) == self.sha256


class Project:
    """A directory whose stages run once per set of inputs.

    Args:
        root: the directory; use :meth:`create` or :meth:`open`.
        inputs: the inputs listed in ``project.toml``.
    """

    def __init__(self, root: Path, inputs: Mapping[str, ProjectInput]) -> None:
        self.root = root
        self.inputs = dict(inputs)

    @staticmethod
    def create(root: Path) -> Project:
        """Open the project in ``root``, or create one there.

        Raises:
            InputError: ``root`` is a file, cannot be written, or holds a project of a newer schema.
        """
        if not (root / PROJECT_FILE).is_file():
            if root.exists() and not root.is_dir():
                raise InputError(f"{root} is a file, not a project directory", "choose another -p")
            with Project(root, {}).lock():
                pass  # writes the project file, once, however many processes start together
        return Project.open(root)

    @staticmethod
    def plan(root: Path) -> Project:
        """The project in ``root``, or an empty one that is not on disk; nothing is written.

        Raises:
            InputError: ``root`` holds a project of a newer schema, or one that cannot be read.
        """
        return Project.open(root) if (root / PROJECT_FILE).is_file() else Project(root, {})

    @staticmethod
    def open(root: Path) -> Project:
        """Open the existing project in ``root``.

        Raises:
            InputError: there is none, or its schema is newer or unreadable.
        """
        path = root / PROJECT_FILE
        if not path.is_file():
            raise InputError(
                f"{root} holds no talkcli project",
                f"make one with: talkcli reconstruct PORTRAIT -p {root}",
            )
        try:
            # Surrogates represent bytes of file names that are not UTF-8.
            document = toml.loads(read_document(path, errors="surrogateescape"))
            schema = int(document["schema"])
            if schema <= PROJECT_SCHEMA:
                inputs = {
                    name: ProjectInput(Path(row["path"]), str(row["sha256"]), int(row["bytes"]))
                    for name, row in document.get("inputs", {}).items()
                }
                return Project(root, inputs)
        except _UNREADABLE as error:
            raise InputError(
                f"{path} cannot be read ({error!r})",
                "delete that file and run the command again: finished stages are kept",
            ) from error
        raise InputError(
            f"{root} has project schema {schema}, this talkcli reads up to {PROJECT_SCHEMA}",
            "upgrade talkcli or choose another -p",
        )

    @contextmanager
    def lock(
        self, *, wait_s: float = WAIT_S, on_wait: Callable[[str], None] | None = None
    ) -> Iterator[None]:
        """Become the only writer; partial files left by killed runs are deleted on entry.

        The project file is written if there is none, and reread in case another process has
        changed it.

        Raises:
            InputError: another process holds it for too long, or the directory cannot be written.
        """
        with ExitStack() as held:
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                path = self.root / LOCK_FILE
                held.enter_context(hold_lock(path, wait_s=wait_s, on_wait=on_wait))
                swept = sweep_temporaries(self.root)
                if not (self.root / PROJECT_FILE).is_file():
                    self._write()
            except OSError as error:
                if error.errno in NO_SPACE:
                    raise no_space_error(self.root / PROJECT_FILE, "-p") from error
                raise InputError(
                    f"the project directory {self.root} cannot be written ({error.strerror})",
                    "choose another with -p or set TALKCLI_CACHE",
                ) from error
            if swept:
                log.info("%s: removed %d leftovers of interrupted runs", self.root, swept)
            self.inputs = Project.open(self.root).inputs
            yield

    def set_input(self, name: str, source: ProjectInput) -> None:
        """Record which file the project is made from; the caller must hold the lock."""
        if self.inputs.get(name) != source:
            self.inputs[name] = source
            self._write()

    def entry_path(self, stage: Stage) -> Path:
        """The path of a stage's entry, whether or not it exists."""
        return self.root / stage.name / stage.key[:SHORT_KEY]

    def lookup(self, stage: Stage) -> StageRun | None:
        """The entry of a stage, or None if it is missing or, with a warning, damaged."""
        directory = self.entry_path(stage)
        if not directory.exists():
            return None
        start = time.perf_counter()
        try:
            record = read_record(directory, stage.check)
            if record["key"] != stage.key:
                raise DamagedEntryError(f"{RECORD_NAME} belongs to another key")
        except DamagedEntryError as error:
            log.warning("the stored %s is damaged (%s) and is made again", stage.name, error)
            return None
        seconds = time.perf_counter() - start
        digest = output_hash(record)
        return StageRun(stage.name, stage.key, directory, False, seconds, digest, stage.recipe)

    def run(
        self,
        stage: Stage,
        function: Callable[[Path], None],
        *,
        recorded: Mapping[str, Any] | None = None,
    ) -> StageRun:
        """Reuse the entry of a stage, or make it; the caller must hold the lock.

        Args:
            stage: name, version, settings and inputs.
            function: writes all outputs into the given empty directory.
            recorded: values recorded without being part of the key (seed, back-end).

        Returns:
            The entry; ``executed`` says whether ``function`` ran.

        Raises:
            InputError: the disk is full, or the stage's folder links out of the project.
        """
        folder = self.root / stage.name
        if folder.is_symlink():
            raise InputError(
                f"{folder} is a link out of the project", "remove it or choose another -p"
            )
        found = self.lookup(stage)
        if found is None:
            final = self.entry_path(stage)
            start = time.perf_counter()
            with explained_writes(final, "-p"), staged_directory(final) as directory:
                function(directory)
                seconds = time.perf_counter() - start
                text = make_record(stage, directory, seconds, recorded or {})
                (directory / RECORD_NAME).write_text(text, encoding="utf-8")
            digest = output_hash(json.loads(text))
            found = StageRun(stage.name, stage.key, final, True, seconds, digest, stage.recipe)
        self._point_to(found)
        return found

    def current(self, name: str, check: Callable[[Path], object] | None = None) -> StageRun | None:
        """The entry that the last run of a stage made or reused.

        None if there is none or, with a warning, if it is damaged.

        Args:
            name: name of the stage.
            check: check of the stage, see :class:`Stage`.
        """
        directory = pointed_entry(self.root / name / CURRENT)
        if directory is None:
            return None
        start = time.perf_counter()
        try:
            record = read_record(directory, check)
        except DamagedEntryError as error:
            log.warning("the stored %s is damaged (%s)", name, error)
            return None
        seconds = time.perf_counter() - start
        digest, recipe = output_hash(record), record["recipe"]
        return StageRun(name, record["key"], directory, False, seconds, digest, recipe)

    def stage_names(self) -> list[str]:
        """Names of the stages with entries in the directory, in alphabetical order."""
        return sorted(path.parent.name for path in self.root.glob(f"*/{CURRENT}"))

    def entries(self, name: str) -> list[Path]:
        """All entries of a stage, newest last."""
        found = (path.parent for path in (self.root / name).glob(f"*/{RECORD_NAME}"))
        kept = [path for path in found if len(path.name) == SHORT_KEY]
        return sorted(kept, key=lambda path: (path / RECORD_NAME).stat().st_mtime)

    def _point_to(self, run: StageRun) -> None:
        pointer = self.root / run.name / CURRENT
        if pointer.is_symlink() or pointed_entry(pointer) != run.path:
            with explained_writes(pointer, "-p"):
                write_text_atomic(pointer, f"{run.path.name}\n")

    def _write(self) -> None:
        lines = [f"schema = {PROJECT_SCHEMA}", ""]
        for name, source in sorted(self.inputs.items()):
            lines += [
                f"[inputs.{name}]",
                f"path = {toml.quote(str(source.path))}",
                f'sha256 = "{source.sha256}"',
                f"bytes = {source.size}",
                "",
            ]
        write_text_atomic(self.root / PROJECT_FILE, "\n".join(lines))


def cached_project_root(source_sha256: str) -> Path:
    """Where a one-off command keeps the project of a source file with this hash."""
    return cache_root() / "projects" / source_sha256[:16]
