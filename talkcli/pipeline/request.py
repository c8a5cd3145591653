"""What every command is asked to do, apart from its own inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from talkcli.config import Recipe


@dataclass(frozen=True)
class Request:
    """What a command is asked to do.

    Attributes:
        command: the name of the command, for the result.
        recipe: all settings.
        project: project directory; None for the command's default.
        output: output path; None puts the output beside the input.
        overwrite: whether existing outputs may be replaced.
        dry_run: check everything but write nothing.
    """

    command: str
    recipe: Recipe
    project: Path | None = None
    output: Path | None = None
    overwrite: bool = False
    dry_run: bool = False
