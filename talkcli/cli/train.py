"""``talkcli train``: making the weights that ship."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

train_app = typer.Typer(help="Train what ships (for developers; needs footage and espeak-ng).")


@train_app.callback()
def _group() -> None:
    """Train what ships (for developers; needs footage and espeak-ng)."""


@train_app.command("speech")
def speech_command(  # noqa: PLR0913 - one parameter per option
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Folder with speech_clips.json.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Where the weights go (.safetensors).")
    ],
    cache: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--cache", metavar="DIR", help="For landmarks and finished networks."),
    ] = None,
    encoder: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="FILE", help="model.bin of faster-whisper-tiny.en (default: the train extra's)."
        ),
    ] = None,
    free_only: Annotated[
        bool, typer.Option("--free-only", help="Learn from freely licensed clips alone.")
    ] = False,
    curve: Annotated[
        bool, typer.Option("--curve", help="Also measure 10, 25, 50 and 100 % of the clips.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Networks trained at once.")] = 2,
    steps: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Steps of each network (default: as shipped)."),
    ] = None,
    utterances: Annotated[int, typer.Option(min=10, help="Synthetic sentences.")] = 700,
) -> None:
    """Cross-validate the speech network over speakers, print the table, train and write it."""
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
            listening=replace(settings.listening, steps=steps),
            pupil=replace(settings.pupil, steps=steps),
            teacher=replace(settings.teacher, steps=steps),
        )

    def report(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    place = runtime.cache_root() / "speech" if cache is None else cache
    typer.echo(train_speech(data, place, output, settings, report, curve=curve))
