"""``talkcli track``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from talkcli.cli.options import (
    CommonOptions,
    OutputOptions,
    RecipeOptions,
    expand_options,
    recipe_from,
)
from talkcli.cli.progress import reporting
from talkcli.cli.show import show_result

Clip = Annotated[Path, typer.Argument(metavar="CLIP", help="A film of a face.")]


@expand_options
def track_command(
    clip: Clip,
    *,
    project: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("-p", "--project", help="Project directory (default: in the cache)."),
    ] = None,
    face: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="INDEX", help="Which face; 0 is the largest."),
    ] = None,
    output: OutputOptions,
    recipe: RecipeOptions,
    common: CommonOptions,
) -> None:
    """Write the performance in a film as ARKit curves: .csv as Live Link Face does, or .npz."""
    from talkcli.pipeline.track import TrackRequest, track

    settings = recipe_from(recipe, tracking={"face": face})
    with reporting(quiet=common.quiet, verbose=common.verbose) as reporter:
        request = TrackRequest(clip=clip, project=project, recipe=settings, **output.as_arguments())
        result = track(request, reporter)
    show_result(result, reporter.warnings, common)
