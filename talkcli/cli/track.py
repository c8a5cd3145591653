"""``talkcli track``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from talkcli.cli.options import (
    CommonOptions,
    OutputOptions,
    ProjectOption,
    RecipeOptions,
    expand_options,
    recipe_from,
)
from talkcli.cli.show import running

Clip = Annotated[Path, typer.Argument(metavar="CLIP", help="A video of a face.")]


@expand_options
def track_command(
    clip: Clip,
    *,
    project: ProjectOption = None,
    face: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="INDEX", help="Which face to follow; 0 is the largest."),
    ] = None,
    output: OutputOptions,
    recipe: RecipeOptions,
    common: CommonOptions,
) -> None:
    """Write the performance in a clip as ARKit curves (Live Link Face .csv, or .npz)."""
    from talkcli import track

    settings = recipe_from(recipe, tracking={"face": face})
    with running(common, output.run(project)) as run:
        file = output.output or clip.with_suffix(".csv")
        run.show(track(clip, output=file, recipe=settings, run=run.options).result)
