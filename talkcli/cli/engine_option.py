"""Settings of commands that make or pose avatars: those of all, and the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Optional

import typer

from talkcli.cli.options import RecipeOptions


@dataclass(frozen=True)
class EngineOptions(RecipeOptions):
    """Settings."""

    engine: Annotated[
        Optional[str],  # noqa: UP045 - Typer resolves it on Python 3.10 too
        typer.Option(
            metavar="NAME",
            help="What makes the avatar: portrait, splat-portrait, mggtalk, or auto for the best "
            "measured (default: auto).",
        ),
    ] = None
