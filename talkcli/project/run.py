"""What every step of a command shares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from talkcli.config import Recipe
from talkcli.progress import Reporter, Stopwatch
from talkcli.project.store import Project


@dataclass(frozen=True)
class Run:
    """One run of a command, or with ``dry`` the plan of one: the same steps, nothing written.

    Attributes:
        project: holds or receives the stages.
        recipe: all settings.
        reporter: told about progress and doubts.
        watch: gets the seconds of every part of the work.
        dry: stages are looked up, never made.
    """

    project: Project
    recipe: Recipe
    reporter: Reporter
    watch: Stopwatch
    dry: bool = False

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the project's only writer; a plan writes nothing and needs no lock."""
        if self.dry:
            yield
            return
        with self.project.lock(on_wait=self.reporter.warn):
            yield
