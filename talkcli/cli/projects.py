"""Which project directory a command is about."""

from __future__ import annotations

from pathlib import Path

from talkcli.errors import UsageError


def project_and_rest(
    command: str, names: list[Path] | None, project: Path | None
) -> tuple[Path, list[Path]]:
    """The project directory, from ``-p`` or the first argument, and the remaining arguments.

    Raises:
        UsageError: there is none.
    """
    rest = list(names or [])
    if project is None:
        if not rest:
            raise UsageError(f"{command} needs an avatar", "give its project directory")
        project = rest.pop(0)
    return project, rest


def one_project(command: str, name: Path | None, project: Path | None) -> Path:
    """The project directory of a command that takes nothing else.

    Raises:
        UsageError: there is none, or it is named twice.
    """
    place, _ = project_and_rest(command, None, named_once(name, project))
    return place


def named_once(name: Path | None, project: Path | None) -> Path | None:
    """The project directory, from its argument or from ``-p``; None if there is none.

    Raises:
        UsageError: it is named twice.
    """
    if name is not None and project is not None:
        raise UsageError("the project is named twice", "give it either as PROJECT or with -p")
    return name or project
