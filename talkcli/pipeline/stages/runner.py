"""Run a stage or reuse it; in a plan, predict which of the two would happen."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from talkcli.progress import SilentReporter, Task
from talkcli.project import Stage, StageRun
from talkcli.project.run import Run
from talkcli.project.stage import digest_outputs

T = TypeVar("T")


#: Writes all outputs of a stage into the given empty directory; may advance the task.
Make = Callable[[Path, Task], None]


def ensure(run: Run, stage: Stage, make: Make, title: str, total: int | None = None) -> StageRun:
    """Make the entry of a stage, or reuse it; the caller must hold the project's lock.

    Args:
        run: project, progress, and whether this is a plan, in which nothing is made.
        stage: name, version, settings and inputs.
        make: does the work.
        title: name shown in the progress display.
        total: number of steps by which ``make`` advances its task, if known.
    """
    if run.dry:
        return run.project.lookup(stage) or pending(run, stage)
    task = run.reporter.begin(title, total)
    recorded = {"seed": run.recipe.seed, "backend": run.recipe.backend}
    entry = run.project.run(stage, lambda place: make(place, task), recorded=recorded)
    run.reporter.end(task, "" if entry.executed else "reused")
    return entry


def ensure_and_read(
    run: Run,
    stage: Stage,
    make: Make,
    title: str,
    read: Callable[[Path], T],
) -> tuple[StageRun, T]:
    """As :func:`ensure`, and read the entry; for stages that others build on.

    A plan makes the entry in a temporary directory, so that later stages get the same keys as in
    the run. Such stages must be quick.

    Args:
        run: as for :func:`ensure`.
        stage: as for :func:`ensure`.
        make: as for :func:`ensure`.
        title: as for :func:`ensure`.
        read: reads the contents of the entry's directory.
    """
    found = run.project.lookup(stage) if run.dry else ensure(run, stage, make, title)
    if found is not None:
        return found, read(found.path)
    with tempfile.TemporaryDirectory(prefix="talkcli-plan-") as name:
        make(Path(name), SilentReporter())
        return pending(run, stage, digest_outputs(Path(name))), read(Path(name))


def pending(run: Run, stage: Stage, output_hash: str = "") -> StageRun:
    """The entry that a stage would make.

    Args:
        run: names the project.
        stage: what would run.
        output_hash: of its outputs, if that is known.
    """
    place = run.project.entry_path(stage)
    return StageRun(stage.name, stage.key, place, True, 0.0, output_hash, stage.recipe)
