"""``talkcli reconstruct``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from talkcli.cli.options import (
    CommonOptions,
    DryRun,
    Overwrite,
    Portrait,
    PortraitOptions,
    RecipeOptions,
    expand_options,
    recipe_from,
)
from talkcli.cli.progress import reporting
from talkcli.cli.show import show_result


@expand_options
def reconstruct_command(
    portrait: Portrait,
    *,
    source: PortraitOptions,
    ply: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--ply", help="Also write the neutral head as a 3DGS .ply file."),
    ] = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    recipe: RecipeOptions,
    common: CommonOptions,
) -> None:
    """Build the avatar of a picture into a project directory (default: PORTRAIT.talk)."""
    from talkcli.pipeline.reconstruct import ReconstructRequest, reconstruct

    settings = recipe_from(recipe, portrait=source.settings())
    request = ReconstructRequest(portrait, source.project, ply, settings, overwrite, dry_run)
    with reporting(quiet=common.quiet, verbose=common.verbose) as reporter:
        result = reconstruct(request, reporter)
    show_result(result, reporter.warnings, common)
