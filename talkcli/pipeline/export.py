"""Export an avatar's neutral head for other programs."""

from __future__ import annotations

from pathlib import Path

from talkcli.avatar import Avatar
from talkcli.errors import UsageError
from talkcli.pipeline.checks import check_files
from talkcli.pipeline.request import Request
from talkcli.pipeline.result import Result
from talkcli.pipeline.stages.avatar import stored_avatar
from talkcli.progress import Reporter, Stopwatch
from talkcli.project import Project
from talkcli.project.run import Run

#: Extensions of the files that an avatar can be exported to.
EXPORT_SUFFIXES = (".ply",)


def export(request: Request, reporter: Reporter, watch: Stopwatch) -> Result:
    """Write the neutral head of a project's avatar.

    Args:
        request: ``project`` holds the avatar; ``output`` defaults to ``<project>.ply`` beside it.
        reporter: receives progress.
        watch: receives the seconds of every part of the work.

    Raises:
        UsageError: an unknown file extension.
        InputError: no avatar in the project, or an output that cannot be written.
    """
    assert request.project is not None
    project = Project.open(request.project)
    root = request.project.resolve()
    output = request.output or root.with_name(f"{root.stem}.ply")
    _check_suffix(output)
    check_files((output,), (), overwrite=request.overwrite)
    run = Run(project, request.recipe, reporter, watch, request.dry_run)
    avatar = stored_avatar(run)
    splats = None
    if not request.dry_run:
        with watch.measure("load"):
            model = avatar.avatar
        with watch.measure("export"):
            export_avatar(model, output, overwrite=request.overwrite)
        splats = model.info.splats
    return Result.of(request, run, (output,), avatar.stages, {"splats": splats})


def export_avatar(avatar: Avatar, output: Path, *, overwrite: bool) -> None:
    """Write the neutral head of an avatar of any engine.

    Args:
        avatar: the avatar whose neutral Gaussians are written.
        output: a ``.ply``, the 3DGS format that viewers open.
        overwrite: whether an existing file may be replaced.

    Raises:
        UsageError: an unknown file extension.
        InputError: the file exists, or its folder cannot be written.
    """
    from talkcli.export.ply import write_ply

    _check_suffix(output)
    write_ply(output, avatar.neutral(), overwrite=overwrite)


def _check_suffix(output: Path) -> None:
    if output.suffix.lower() not in EXPORT_SUFFIXES:
        raise UsageError(
            f"avatars cannot be exported as '{output.suffix or output.name}'",
            f"end the output in {' or '.join(EXPORT_SUFFIXES)}",
        )
