"""Fit an avatar to the prepared clip of a project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from talkcli.errors import InputError, UsageError
from talkcli.files.check import read_json
from talkcli.pipeline.request import Request
from talkcli.pipeline.result import Result
from talkcli.pipeline.stages.fit import ensure_fit
from talkcli.pipeline.stages.kernels import ensure_kernels
from talkcli.progress import Reporter, Stopwatch
from talkcli.project import Project
from talkcli.project.run import Run
from talkcli.project.store import PROJECT_FILE

#: What the result tells of a fit, besides its held-out figures; see docs/cli.md.
_TOLD = ("frames", "held_out", "splats", "iterations", "seconds", "before", "after")


def fit(request: Request, reporter: Reporter, watch: Stopwatch, *, resume: bool = False) -> Result:
    """Fit an avatar, or reuse the one that was fitted with the same settings.

    Args:
        request: the project and settings.
        reporter: receives progress and warnings.
        watch: receives the seconds of every part of the work.
        resume: go on from a finished fit of the same kind.

    Raises:
        UsageError: no project, or an engine that makes avatars of one picture.
        InputError: no prepared clip, or one with too few usable frames.
    """
    run = Run(_opened(request.project), request.recipe, reporter, watch, request.dry_run)
    if not request.dry_run:
        ensure_kernels(reporter, watch)
    made = ensure_fit(run, resume=resume)
    return Result.of(request, run, (), made.stages, {"fit": _facts(made.stages[-1].path, run)})


def _opened(root: Path | None) -> Project:
    if root is None:
        raise UsageError("fit needs a project", "give the directory that preprocess has made")
    if root.is_file():
        raise InputError(
            f"{root} is a file, not a project directory",
            f"prepare a clip with: talkcli preprocess {root}, then fit that project",
        )
    if not (root / PROJECT_FILE).is_file():
        raise InputError(
            f"{root} holds no talkcli project",
            f"make one with: talkcli preprocess CLIP -p {root}",
        )
    return Project.open(root)


def _facts(directory: Any, run: Run) -> dict[str, Any] | None:
    from talkcli.engines.audio_plane.make import REPORT

    if run.dry and not (directory / REPORT).is_file():
        return None
    report = read_json(directory / REPORT)
    return {name: report[name] for name in _TOLD}
