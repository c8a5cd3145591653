"""``talkcli train``: train the bundled models."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Optional

import typer

from talkcli.cli.flags import Command, Group
from talkcli.cli.options import expand_options
from talkcli.cli.train_mggtalk import mggtalk_command
from talkcli.cli.train_networks import prepare_command, splat_portrait_command

train_app = typer.Typer(cls=Group, help="Train the bundled models (for developers).")

_File = Optional[Path]  # noqa: UP045 - Typer resolves it on Python 3.10 too
_Data = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="Folder with speech_clips.json.")
]
_Cache = Annotated[
    _File,
    typer.Option("--cache", metavar="DIR", help="Folder for landmarks and finished networks."),
]


@train_app.callback()
def _group() -> None:
    """Train the bundled models (for developers)."""


train_app.command("prepare", cls=Command)(prepare_command)
train_app.command("mggtalk", cls=Command)(mggtalk_command)
train_app.command("splat-portrait", cls=Command)(splat_portrait_command)


@dataclass(frozen=True)
class TrainingOptions:
    """Training."""

    encoder: Annotated[
        _File,
        typer.Option(
            metavar="FILE",
            help="model.bin of faster-whisper-tiny.en (default: from the train extra).",
        ),
    ] = None
    free_only: Annotated[
        bool, typer.Option("--free-only", help="Train on freely licensed clips only.")
    ] = False
    curve: Annotated[
        bool,
        typer.Option("--curve", help="Also measure training on 10, 25, 50 and 100 % of the clips."),
    ] = False
    jobs: Annotated[int, typer.Option(min=1, help="Number of networks to train at once.")] = 2
    steps: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Optimiser steps per network (default: as for the bundled ones)."),
    ] = None
    utterances: Annotated[int, typer.Option(min=10, help="Number of synthetic sentences.")] = 700


@train_app.command("speech", cls=Command)
@expand_options
def speech_command(
    data: _Data,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Output file for the weights (.safetensors).")
    ],
    training: TrainingOptions,
    cache: _Cache = None,
) -> None:
    """Cross-validate the speech network across speakers, then train and save it."""
    from dataclasses import replace

    from talkcli.train.speech.corpus import RecipeSettings
    from talkcli.train.speech.main import train_speech

    settings = RecipeSettings(
        jobs=training.jobs,
        free_only=training.free_only,
        utterances=training.utterances,
        encoder=training.encoder,
    )
    if training.steps is not None:
        settings = replace(
            settings,
            distillation=replace(settings.distillation, steps=training.steps),
            student=replace(settings.student, steps=training.steps),
            teacher=replace(settings.teacher, steps=training.steps),
        )
    place = _cache_folder(cache, "speech")
    typer.echo(train_speech(data, place, output, settings, _report, curve=training.curve))


@train_app.command("face", cls=Command)
def face_command(
    data: _Data,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Output file for the face model (.safetensors).")
    ],
    cache: _Cache = None,
    keep_mean: Annotated[
        bool,
        typer.Option("--keep-mean", help="Use the bundled mean face instead of measuring one."),
    ] = False,
) -> None:
    """Build the face model from measured faces and the ICT-FaceKit shapes."""
    from talkcli.train.face.build import build_face_model

    place = _cache_folder(cache, "face")
    build_face_model(data, place, output, _report, keep_mean=keep_mean)


def _cache_folder(given: Path | None, name: str) -> Path:
    from talkcli import runtime

    return runtime.cache_root() / name if given is None else given


def _report(text: str) -> None:
    sys.stderr.write(f"{text}\n")
