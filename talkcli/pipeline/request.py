"""What every command is asked to do, apart from its own inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from talkcli.config import Recipe
from talkcli.progress import Reporter, Stopwatch
from talkcli.project import Project
from talkcli.project.run import Run


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

    def begin(self, root: Path, reporter: Reporter, watch: Stopwatch) -> Run:
        """The run, in the project in ``root``, which is begun if there is none.

        Args:
            root: the project directory; a dry run writes nothing there.
            reporter: receives progress and warnings.
            watch: receives the seconds of every part of the work.

        Raises:
            InputError: ``root`` cannot hold a project, or holds one of a newer schema.
        """
        project = Project.plan(root) if self.dry_run else Project.create(root)
        return Run(project, self.recipe, reporter, watch, self.dry_run)
