"""Install, find and check the networks of others that the user has asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from talkcli.errors import MissingDependencyError
from talkcli.progress import Reporter
from talkcli.weights.fetch import fetch
from talkcli.weights.store import adopt, model_path, state_of
from talkcli.weights.table import MODELS, Model, model_named


@dataclass(frozen=True)
class ModelStatus:
    """A model of the table, and whether it is installed.

    Attributes:
        model: its entry.
        state: ``installed``, ``partial`` (an unfinished download), ``missing`` or ``damaged``.
        path: where it lies, or would lie.
    """

    model: Model
    state: str
    path: Path

    def as_json(self) -> dict[str, Any]:
        """The entry and its state as JSON values, with the keys documented in docs/cli.md."""
        return {**asdict(self.model), "state": self.state, "path": str(self.path)}


def model_statuses(names: tuple[str, ...] = (), *, thorough: bool = False) -> list[ModelStatus]:
    """All models, or the named ones, and their states.

    Args:
        names: models; all of them if empty.
        thorough: compute the SHA-256 of those that are installed.

    Raises:
        UsageError: there is no such model.
    """
    models = [model_named(name) for name in names] or list(MODELS)
    return [
        ModelStatus(model, state_of(model, thorough=thorough), model_path(model))
        for model in models
    ]


def installed_path(name: str) -> Path:
    """The path of an installed model, for other programs.

    Raises:
        UsageError: there is no such model.
        MissingDependencyError: it is not installed, or damaged.
    """
    model = model_named(name)
    if state_of(model) != "installed":
        raise MissingDependencyError(
            f"the model {name} is not installed", f"run: talkcli models pull {name}"
        )
    return model_path(model)


def pull_model(name: str, source: Path | None, reporter: Reporter) -> ModelStatus:
    """Download a model, or take it from a file; nothing is done if it is installed.

    Args:
        name: a model of the table.
        source: a file that the user has, or None for a download.
        reporter: receives progress, and a warning if the licence forbids commercial use.

    Raises:
        UsageError: there is no such model.
        InputError: the file is another one, the disk is full, or the model is being downloaded.
        MissingDependencyError: downloads are forbidden, or the server cannot be reached.
    """
    model = model_named(name)
    if not model.commercial:
        reporter.warn(f"licence of {name}: {model.licence}")
    if state_of(model, thorough=True) != "installed":
        if source is not None:
            adopt(model, source)
        else:
            _download(model, reporter)
    return ModelStatus(model, "installed", model_path(model))


def _download(model: Model, reporter: Reporter) -> None:
    """Download with progress in megabytes, since that is what people read."""
    task = reporter.begin("download", round(model.size / 1e6))
    have = shown = 0

    def advance(count: int) -> None:
        nonlocal have, shown
        have += count
        steps = round(have / 1e6) - shown
        if steps > 0:
            task.advance(steps)
            shown += steps

    fetch(model, advance)
    reporter.end(task)
