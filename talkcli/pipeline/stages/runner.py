"""Running a stage or reusing it; in a plan, saying beforehand which of the two it would be."""

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


#: Writes all outputs of a stage into the empty directory that it gets; may advance the task.
Make = Callable[[Path, Task], None]


def ensure(run: Run, stage: Stage, make: Make, title: str, total: int | None = None) -> StageRun:
    """The entry of a stage, made now or reused; hold the project's lock.

    Args:
        run: project, progress, and whether this is a plan, in which nothing is made.
        stage: name, version, settings and inputs.
        make: does the work.
        title: what progress calls it.
        total: steps by which ``make`` advances its task, where that is known.
    """
    if run.dry:
        return run.project.lookup(stage) or _pending(run, stage, "")
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
    """As :func:`ensure`, and what is in the entry; for stages that others build on.

    A plan makes the entry aside, so that the keys of the stages behind it are those that the run
    will have. Such stages must be quick.

    Args:
        run: as above.
        stage: as above.
        make: as above.
        title: as above.
        read: reads the entry's directory.
    """
    found = run.project.lookup(stage) if run.dry else ensure(run, stage, make, title)
    if found is not None:
        return found, read(found.path)
    with tempfile.TemporaryDirectory(prefix="talkcli-plan-") as name:
        make(Path(name), SilentReporter())
        return _pending(run, stage, digest_outputs(Path(name))), read(Path(name))


def _pending(run: Run, stage: Stage, output_hash: str) -> StageRun:
    place = run.project.entry_path(stage)
    return StageRun(stage.name, stage.key, place, True, 0.0, output_hash, stage.recipe)
