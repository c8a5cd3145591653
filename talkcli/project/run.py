"""The context that all steps of a command share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from talkcli.config import Recipe
from talkcli.progress import Reporter, Stopwatch
from talkcli.project.store import Project


@dataclass(frozen=True)
class Run:
    """One run of a command or, with ``dry``, its plan: the same steps, but nothing is written.

    Attributes:
        project: holds or receives the stages.
        recipe: all settings.
        reporter: receives progress and warnings.
        watch: receives the seconds of every part of the work.
        dry: whether stages are only looked up, never made.
    """

    project: Project
    recipe: Recipe
    reporter: Reporter
    watch: Stopwatch
    dry: bool = False

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Become the project's only writer; a plan writes nothing and needs no lock."""
        if self.dry:
            yield
            return
        with self.project.lock(on_wait=self.reporter.warn):
            yield
