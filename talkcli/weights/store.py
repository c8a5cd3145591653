"""Where installed models lie, and whether they are what they should be."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from talkcli.errors import InputError, MissingDependencyError
from talkcli.files.atomic import sha256_file, staged_path
from talkcli.files.check import check_readable, explained_writes
from talkcli.runtime import cache_root
from talkcli.weights.table import Model, model_named

State = Literal["installed", "partial", "missing", "damaged"]

#: Ending of a file that is still being downloaded, and of the record of what it is part of.
PART, RECORD = ".part", ".part.json"


def models_folder() -> Path:
    """The folder of installed models, in the cache; pruning the cache leaves it alone."""
    folder = cache_root() / "models"
    with explained_writes(folder, "TALKCLI_CACHE"):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def model_path(model: Model) -> Path:
    """Where a model lies, or would lie."""
    return models_folder() / model.file


def state_of(model: Model, *, thorough: bool = False) -> State:
    """Whether a model is installed.

    Args:
        model: an entry of the table.
        thorough: compute the SHA-256, too, and not only compare the size.
    """
    path = model_path(model)
    if path.is_file():
        whole = path.stat().st_size == model.size
        if whole and thorough:
            whole = sha256_file(path) == model.sha256
        return "installed" if whole else "damaged"
    return "partial" if path.with_name(path.name + PART).exists() else "missing"


def require_model(name: str) -> Path:
    """The path of an installed model whose SHA-256 is right.

    Raises:
        MissingDependencyError: it is not installed, or damaged.
        UsageError: there is no such model.
    """
    model = model_named(name)
    state = state_of(model, thorough=True)
    if state == "installed":
        return model_path(model)
    what = "is damaged" if state == "damaged" else "is not installed"
    raise MissingDependencyError(
        f"the model {name} {what}",
        f"run: talkcli models pull {name} ({model.size / 1e6:.0f} MB; {model.licence})",
    )


def adopt(model: Model, source: Path) -> Path:
    """Install a model from a file that the user has; returns its path.

    Raises:
        InputError: the file cannot be read, or is another one.
    """
    check_readable(source, "a model file")
    check_contents(model, source, "give the file that talkcli models list names")
    target = model_path(model)
    with explained_writes(target, "TALKCLI_CACHE"), staged_path(target) as temporary:
        shutil.copyfile(source, temporary)
    forget_part(target)
    return target


def check_contents(model: Model, path: Path, fix: str) -> None:
    """Refuse a file that is not the model.

    Args:
        model: what the file should be.
        path: the file.
        fix: what the user can do.

    Raises:
        InputError: its size or its SHA-256 differs.
    """
    size = path.stat().st_size
    if size != model.size:
        raise InputError(
            f"{path} is not the model {model.name}: {size} bytes instead of {model.size}", fix
        )
    found = sha256_file(path)
    if found != model.sha256:
        raise InputError(
            f"{path} is not the model {model.name}: its SHA-256 is {found} instead of "
            f"{model.sha256}",
            fix,
        )


def forget_part(target: Path) -> None:
    """Remove what an unfinished download of a model has left."""
    for suffix in (PART, RECORD):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
