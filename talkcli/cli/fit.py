"""``talkcli fit``."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Optional

import typer

from talkcli.cli.options import (
    CommonOptions,
    DryRun,
    ProjectArgument,
    ProjectOption,
    RecipeOptions,
    expand_options,
    recipe_from,
    run_options,
)
from talkcli.cli.projects import named_once
from talkcli.cli.show import running

_Text = Optional[str]  # noqa: UP045
#: The recipe of a fit without --recipe.
_DEFAULT_RECIPE = "audio-plane"


@expand_options
def fit_command(
    place: ProjectArgument = None,
    *,
    project: ProjectOption = None,
    minutes: Annotated[_Text, typer.Option(metavar="N", help="Fit for at most N minutes.")] = None,
    iterations: Annotated[_Text, typer.Option(metavar="N", help="Number of steps.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from a finished fit, to a larger limit.")
    ] = False,
    dry_run: DryRun = False,
    recipe: RecipeOptions,
    common: CommonOptions,
) -> None:
    """Fit an avatar to the clip that preprocess has prepared in a project."""
    from talkcli.pipeline.fit import fit

    root = named_once(place, project)
    if recipe.recipe is None:
        recipe = dataclasses.replace(recipe, recipe=_DEFAULT_RECIPE)
    settings = recipe_from(recipe, fit={"minutes": minutes, "iterations": iterations})
    with running(common, run_options(root, False, dry_run)) as run:
        request = run.options.request("fit", settings, None)
        run.show(fit(request, run.options.reporter, run.options.watch, resume=resume))
