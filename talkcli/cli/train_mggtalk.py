"""``talkcli train mggtalk``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Optional

import typer

from talkcli.cli.options import expand_options
from talkcli.cli.progress import reporting


@dataclass(frozen=True)
class DecoderOptions:
    """Training."""

    size: Annotated[
        str,
        typer.Option(help="How large the networks are: nano (for a CPU) or base (for hours)."),
    ] = "nano"
    steps: Annotated[
        Optional[int],  # noqa: UP045 - Typer resolves it on Python 3.10 too
        typer.Option(min=1, help="Number of steps (default: as for the size)."),
    ] = None
    minutes: Annotated[
        float, typer.Option(min=0, help="Train for at most so many minutes; 0 for no limit.")
    ] = 0.0
    free_only: Annotated[
        bool, typer.Option("--free-only", help="Train on freely licensed clips only.")
    ] = False
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0


@expand_options
def mggtalk_command(
    data: Annotated[
        Path,
        typer.Option(
            "--data", metavar="DIR", help="Folder with manifest.json and speech_clips.json."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of checkpoint and weights.")
    ],
    training: DecoderOptions,
    pairs: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="DIR", help="Folder of prepared clips (default: pairs in the output folder)."
        ),
    ] = None,
    prepare_only: Annotated[
        bool, typer.Option("--prepare-only", help="Prepare the clips and train nothing.")
    ] = False,
) -> None:
    """Train the decoder of the engine mggtalk; a run that was stopped goes on."""
    from dataclasses import replace

    from talkcli.train.mggtalk.main import DecoderRun, prepare, train_decoder
    from talkcli.train.mggtalk.recipe import recipe_named

    recipe = replace(recipe_named(training.size), free_only=training.free_only)
    if training.steps is not None:
        recipe = replace(recipe, steps=training.steps)
    place = output / "pairs" if pairs is None else pairs
    run = DecoderRun(data, place, output, training.minutes, training.seed)
    if prepare_only:
        typer.echo(f"{len(prepare(run, recipe, _report))} clips are ready in {place}")
        return
    with reporting(quiet=False, verbose=False) as reporter:
        task = reporter.begin("steps", None if training.minutes else recipe.steps)
        told = train_decoder(run, recipe, task, _report)
        reporter.end(task)
    typer.echo(f"{run.weights}: held-out people: {told}")


def _report(text: str) -> None:
    sys.stderr.write(f"{text}\n")
