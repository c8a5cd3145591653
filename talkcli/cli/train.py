"""``talkcli train``: train the models that ship."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

train_app = typer.Typer(
    help="Train the models that ship (for developers; needs footage and espeak-ng)."
)


@train_app.callback()
def _group() -> None:
    """Train the models that ship (for developers; needs footage and espeak-ng)."""


@train_app.command("speech")
def speech_command(  # noqa: PLR0913 - one parameter per option
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Folder that holds speech_clips.json.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="File for the weights (.safetensors).")
    ],
    cache: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--cache", metavar="DIR", help="Folder that keeps landmarks and finished networks."
        ),
    ] = None,
    encoder: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="FILE",
            help="model.bin of faster-whisper-tiny.en (default: from the train extra).",
        ),
    ] = None,
    free_only: Annotated[
        bool, typer.Option("--free-only", help="Train on freely licensed clips only.")
    ] = False,
    curve: Annotated[
        bool,
        typer.Option("--curve", help="Also measure training on 10, 25, 50 and 100 % of the clips."),
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Networks trained at the same time.")] = 2,
    steps: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Optimiser steps per network (default: as for the shipped ones)."),
    ] = None,
    utterances: Annotated[int, typer.Option(min=10, help="Number of synthetic sentences.")] = 700,
) -> None:
    """Cross-validate the speech network over speakers, print the scores, train and save it."""
    from dataclasses import replace

    from talkcli import runtime
    from talkcli.train.speech.corpus import RecipeSettings
    from talkcli.train.speech.main import train_speech

    settings = RecipeSettings(
        jobs=jobs,
        free_only=free_only,
        utterances=utterances,
        encoder=encoder,
    )
    if steps is not None:
        settings = replace(
            settings,
            distillation=replace(settings.distillation, steps=steps),
            student=replace(settings.student, steps=steps),
            teacher=replace(settings.teacher, steps=steps),
        )

    def report(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    place = runtime.cache_root() / "speech" if cache is None else cache
    typer.echo(train_speech(data, place, output, settings, report, curve=curve))
