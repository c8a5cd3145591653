"""``talkcli render``."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from talkcli.cli.options import (
    CommonOptions,
    Output,
    Overwrite,
    Project,
    RecipeOptions,
    ViewOptions,
    expand_options,
    recipe_from,
)
from talkcli.cli.progress import reporting
from talkcli.cli.show import show_result


@expand_options
def render_command(
    *,
    project: Project,
    expression: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--expr", metavar="NAME=WEIGHT", help="ARKit weight, e.g. jawOpen=0.5."),
    ] = None,
    output: Output = None,
    overwrite: Overwrite = False,
    view: ViewOptions,
    recipe: RecipeOptions,
    common: CommonOptions,
) -> None:
    """Draw the avatar of a project: pictures (.png, .jpg, .webp) or a turntable film (.mp4)."""
    from talkcli.pipeline.stills import StillRequest, render_stills

    settings = recipe_from(recipe, video=view)
    request = StillRequest(project, output, tuple(expression or ()), settings, overwrite)
    with reporting(quiet=common.quiet, verbose=common.verbose) as reporter:
        result = render_stills(request, reporter)
    show_result(result, reporter.warnings, common)
