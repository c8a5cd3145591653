"""What every command is asked for, beside its own inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from talkcli.config import Recipe


@dataclass(frozen=True)
class Request:
    """What a command is asked for.

    Attributes:
        command: its name, for the result.
        recipe: all settings.
        project: project directory; None for the command's default.
        output: where the result goes; None puts it beside the input.
        overwrite: existing results may be replaced.
        dry_run: check everything, make nothing.
    """

    command: str
    recipe: Recipe
    project: Path | None = None
    output: Path | None = None
    overwrite: bool = False
    dry_run: bool = False
