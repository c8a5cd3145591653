"""Build an avatar from a picture, in a project directory."""

from __future__ import annotations

from pathlib import Path

from talkcli.pipeline.checks import check_files
from talkcli.pipeline.export import export_avatar
from talkcli.pipeline.request import Request
from talkcli.pipeline.result import Result, trusted_facts
from talkcli.pipeline.stages.avatar import ensure_avatar
from talkcli.pipeline.stages.inputs import Picture
from talkcli.pipeline.stages.kernels import ensure_kernels
from talkcli.progress import Reporter, Stopwatch


def reconstruct(request: Request, portrait: Path, reporter: Reporter, watch: Stopwatch) -> Result:
    """Build the avatar of a picture, or reuse it.

    Args:
        request: settings; ``project`` defaults to ``<portrait>.talk`` beside the picture, and
            ``output``, if given, receives the neutral head as a 3DGS file.
        portrait: picture file.
        reporter: receives progress.
        watch: receives the seconds of every part of the work.

    Raises:
        InputError: no usable face, or a path that cannot be written.
    """
    picture = Picture(portrait)
    picture.check()
    outputs = () if request.output is None else (request.output,)
    check_files(outputs, (portrait,), overwrite=request.overwrite)
    root = request.project or portrait.with_name(f"{portrait.stem}.talk")
    run = request.begin(root, reporter, watch)
    if not request.dry_run:
        ensure_kernels(reporter, watch)
    avatar = ensure_avatar(run, picture)
    if request.output is not None and not request.dry_run:
        with watch.measure("export"):
            export_avatar(avatar.avatar, request.output, overwrite=request.overwrite)
    facts = trusted_facts(avatar.stages)
    return Result.of(request, run, outputs, avatar.stages, facts)
