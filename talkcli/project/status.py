"""The contents of a project directory or the cache, for ``talkcli status``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkcli.avatar import TrustedRange
from talkcli.errors import InputError
from talkcli.project.stage import SHORT_KEY
from talkcli.project.store import PROJECT_FILE, Project
from talkcli.project.trusted import load_trusted, trusted_json
from talkcli.runtime import cache_root


@dataclass(frozen=True)
class StageStatus:
    """A stage as stored on disk.

    Attributes:
        name: name of the stage.
        current: 12 hex digits of the entry in use, or None if it is missing or damaged.
        entries: number of stored entries.
        size: total size of the entries, bytes.
    """

    name: str
    current: str | None
    entries: int
    size: int


@dataclass(frozen=True)
class ProjectStatus:
    """A project directory.

    Attributes:
        root: the project directory.
        inputs: name to path of the files it was made from.
        changed_inputs: names of the inputs that are missing or have changed.
        stages: the stages, in alphabetical order.
        trusted: from where its avatar is known; None without one, or if that was not measured.
    """

    root: Path
    inputs: dict[str, Path]
    changed_inputs: tuple[str, ...]
    stages: tuple[StageStatus, ...]
    trusted: TrustedRange | None = None

    def as_json(self) -> dict[str, Any]:
        """The status as JSON values."""
        return {
            "project": str(self.root),
            "inputs": {name: str(path) for name, path in self.inputs.items()},
            "changed_inputs": list(self.changed_inputs),
            "stages": [
                {
                    "stage": stage.name,
                    "current": stage.current,
                    "entries": stage.entries,
                    "bytes": stage.size,
                }
                for stage in self.stages
            ],
            "trusted": trusted_json(self.trusted),
        }


def project_status(root: Path) -> ProjectStatus:
    """Inspect a project; every file of the current entries is checked against its hash.

    Raises:
        InputError: there is no project, or its schema is newer.
    """
    project = Project.open(root)
    changed = [name for name, source in project.inputs.items() if not source.unchanged()]
    stages = [_stage_status(project, name) for name in project.stage_names()]
    inputs = {name: source.path for name, source in sorted(project.inputs.items())}
    current = project.current("avatar")
    trusted = None if current is None else load_trusted(current.path)
    return ProjectStatus(root, inputs, tuple(sorted(changed)), tuple(stages), trusted)


def cached_projects() -> list[ProjectStatus]:
    """The readable ones among the projects that one-off commands keep in the user's cache."""
    found = []
    for path in sorted((cache_root() / "projects").glob(f"*/{PROJECT_FILE}")):
        try:
            found.append(project_status(path.parent))
        except InputError:
            continue
    return found


def _stage_status(project: Project, name: str) -> StageStatus:
    folder = project.root / name
    current = project.current(name)
    entries = project.entries(name)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return StageStatus(
        name, None if current is None else current.key[:SHORT_KEY], len(entries), size
    )
