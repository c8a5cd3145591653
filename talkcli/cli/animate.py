"""``talkcli animate`` and ``talkcli drive``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from talkcli.cli.options import (
    CommonOptions,
    MotionOptions,
    OutputOptions,
    Portrait,
    PortraitOptions,
    Project,
    RecipeOptions,
    ViewOptions,
    expand_options,
    recipe_from,
)
from talkcli.cli.progress import reporting
from talkcli.cli.show import show_result

Speech = Annotated[Path, typer.Argument(metavar="SPEECH", help="Any sound, or a film's sound.")]


@expand_options
def animate_command(
    portrait: Portrait,
    speech: Speech,
    *,
    source: PortraitOptions,
    output: OutputOptions,
    view: ViewOptions,
    motion: MotionOptions,
    recipe: RecipeOptions,
    common: CommonOptions,
) -> None:
    """Make a portrait speak: a picture and a sound file become a film."""
    from talkcli.pipeline.film import VideoRequest, animate

    settings = recipe_from(recipe, video=view, motion=motion, portrait=source.settings())
    with reporting(quiet=common.quiet, verbose=common.verbose) as reporter:
        request = VideoRequest(
            command="animate",
            portrait=portrait,
            speech=speech,
            project=source.project,
            recipe=settings,
            **output.as_arguments(),
        )
        result = animate(request, reporter)
    show_result(result, reporter.warnings, common)


@expand_options
def drive_command(
    speech: Speech,
    *,
    project: Project,
    output: OutputOptions,
    view: ViewOptions,
    motion: MotionOptions,
    recipe: RecipeOptions,
    common: CommonOptions,
) -> None:
    """Let the avatar of a project speak."""
    from talkcli.pipeline.film import VideoRequest, animate

    settings = recipe_from(recipe, video=view, motion=motion)
    with reporting(quiet=common.quiet, verbose=common.verbose) as reporter:
        request = VideoRequest(
            command="drive",
            portrait=None,
            speech=speech,
            project=project,
            recipe=settings,
            **output.as_arguments(),
        )
        result = animate(request, reporter)
    show_result(result, reporter.warnings, common)
