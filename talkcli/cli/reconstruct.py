"""``talkcli reconstruct``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from talkcli.cli.engine_option import EngineOptions
from talkcli.cli.options import (
    CommonOptions,
    DryRun,
    Overwrite,
    Portrait,
    SourceOptions,
    expand_options,
    recipe_from,
    run_options,
)
from talkcli.cli.show import running


@expand_options
def reconstruct_command(
    portrait: Portrait,
    *,
    source: SourceOptions,
    ply: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--ply", help="Also write the neutral head as a 3DGS .ply file."),
    ] = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    recipe: EngineOptions,
    common: CommonOptions,
) -> None:
    """Build an avatar from a picture, in a project directory (default: PORTRAIT.talk)."""
    from talkcli import reconstruct

    settings = recipe_from(recipe, recipe.engine, portrait=source.settings())
    with running(common, run_options(source.project, overwrite, dry_run)) as run:
        made = reconstruct(portrait, output=ply, recipe=settings, run=run.options)
        run.show(made.result)
