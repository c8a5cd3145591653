"""``talkcli train prepare`` and the training of engines that learn from many people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from talkcli.cli.options import RecipeOptions, expand_options, recipe_from
from talkcli.cli.progress import reporting

_Text = Optional[str]  # noqa: UP045 - Typer resolves it on Python 3.10 too
#: The recipe of a training without --recipe.
_SMALLEST = "splat-portrait-nano"


def prepare_command(
    data: Annotated[
        Path,
        typer.Option(
            "--data", metavar="DIR", help="Folder of pictures, or one with a list of them."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the pack.")],
    kinds: Annotated[
        str, typer.Option(metavar="NAME,...", help="Subfolders to take, of a folder with lists.")
    ] = "synthetic",
    limit: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="At most so many pictures, held-out people first."),
    ] = None,
) -> None:
    """Build the avatars of many pictures, and keep what a network can learn from them."""
    from talkcli.train.prepare import make_pack, plan_pack

    files = plan_pack(data, kinds.split(","), limit)
    with reporting(quiet=False, verbose=False) as reporter:
        task = reporter.begin("pictures", len(files))
        made = make_pack(data, files, output, task)
        reporter.end(task)
    typer.echo(f"{made.used} pictures added to {output}, {made.skipped} without a usable face")


@expand_options
def splat_portrait_command(
    data: Annotated[Path, typer.Option("--data", metavar="PACK", help="Folder of the pack.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of checkpoint, weights and curve.")
    ],
    minutes: Annotated[
        _Text, typer.Option(metavar="N", help="Train for at most N minutes, of all runs together.")
    ] = None,
    steps: Annotated[_Text, typer.Option(metavar="N", help="Number of steps.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from a training that had reached its end.")
    ] = False,
    *,
    recipe: RecipeOptions,
) -> None:
    """Train the network of the engine splat-portrait; a training that was stopped goes on."""
    from dataclasses import replace

    from talkcli.train.splat_portrait import train_splat_portrait

    if recipe.recipe is None:
        recipe = replace(recipe, recipe=_SMALLEST)
    settings = recipe_from(recipe, train={"minutes": minutes, "steps": steps})
    with reporting(quiet=False, verbose=False) as reporter:
        total = None if settings.train.minutes else settings.train.steps
        task = reporter.begin("steps", total)
        made = train_splat_portrait(data, output, settings, task, resume=resume)
        reporter.end(task)
    told = ", ".join(f"{name} {value:g}" for name, value in made.scores.items())
    typer.echo(f"{made.weights}: {made.steps} steps, {made.people} people; held-out people: {told}")
