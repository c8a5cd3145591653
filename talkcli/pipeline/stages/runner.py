"""Running a stage or reusing it, and saying beforehand which of the two it would be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from talkcli.progress import Reporter
from talkcli.project import Project, Stage, StageRun


def _pending(project: Project, stage: Stage) -> StageRun:
    return StageRun(stage.name, stage.key, project.root / stage.name, True, 0.0, "")


def _run(
    project: Project,
    stage: Stage,
    function: Callable[[Path], None],
    reporter: Reporter,
    title: str,
    recorded: Mapping[str, Any] | None = None,
) -> StageRun:
    task = reporter.begin(title)
    run = project.run(stage, function, recorded=recorded)
    reporter.end(task, "" if run.executed else "reused")
    return run
