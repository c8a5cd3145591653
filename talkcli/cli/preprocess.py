"""``talkcli preprocess``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from talkcli.cli.options import (
    CommonOptions,
    DryRun,
    ProjectOption,
    RecipeOptions,
    expand_options,
    recipe_from,
    run_options,
)
from talkcli.cli.show import running

Clip = Annotated[Path, typer.Argument(metavar="CLIP", help="A video of one person.")]
_Text = Optional[str]  # noqa: UP045


@expand_options
def preprocess_command(
    clip: Clip,
    *,
    project: ProjectOption = None,
    face: Annotated[
        _Text, typer.Option(metavar="INDEX", help="Which face to follow; 0 is the largest.")
    ] = None,
    segment: Annotated[
        _Text,
        typer.Option(
            metavar="auto|START-END", help="Part of the clip to use, in seconds (default: auto)."
        ),
    ] = None,
    dry_run: DryRun = False,
    recipe: RecipeOptions,
    common: CommonOptions,
) -> None:
    """Prepare a clip for a fit: the best part, landmarks, mattes, background, sync."""
    from talkcli.pipeline.preprocess import preprocess
    from talkcli.pipeline.stages.inputs import Clip as ClipFile

    settings = recipe_from(recipe, tracking={"face": face}, clip={"segment": segment})
    with running(common, run_options(project, False, dry_run)) as run:
        options = run.options
        request = options.request("preprocess", settings, None)
        _, result = preprocess(request, ClipFile(clip), options.reporter, options.watch)
        run.show(result)
