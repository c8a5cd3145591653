"""``talkcli animate`` and ``talkcli drive``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from talkcli.cli.options import (
    CommonOptions,
    DriverOptions,
    MotionOptions,
    OutputOptions,
    Portrait,
    PortraitOptions,
    RecipeOptions,
    ViewOptions,
    expand_options,
    recipe_from,
)
from talkcli.cli.progress import reporting
from talkcli.cli.show import show_result
from talkcli.config import Recipe
from talkcli.errors import UsageError

if TYPE_CHECKING:
    from talkcli.pipeline.video.performance import Movers

# Typer resolves these at run time, on Python 3.10 too.
Speech = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Argument(
        metavar="[SPEECH]", help="Any sound, or a film's sound; with --driver optional."
    ),
]
Subject = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Argument(
        metavar="[AVATAR] [SPEECH]", help="Project directory, unless -p names it; sound."
    ),
]
AvatarProject = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("-p", "--project", help="Project directory with the avatar."),
]


@expand_options
def animate_command(  # noqa: PLR0913 - one parameter per group of options
    portrait: Portrait,
    speech: Speech = None,
    *,
    source: PortraitOptions,
    driver: DriverOptions,
    output: OutputOptions,
    view: ViewOptions,
    motion: MotionOptions,
    recipe: RecipeOptions,
    common: CommonOptions,
) -> None:
    """Make a portrait speak, or do what another face does: a picture becomes a film."""
    from talkcli.pipeline.animate import VideoRequest, animate

    settings = _settings(recipe, view, motion, driver, portrait=source.settings())
    with reporting(quiet=common.quiet, verbose=common.verbose) as reporter:
        request = VideoRequest(
            command="animate",
            portrait=portrait,
            movers=_movers(speech, driver),
            project=source.project,
            recipe=settings,
            **output.as_arguments(),
        )
        result = animate(request, reporter)
    show_result(result, reporter.warnings, common)


@expand_options
def drive_command(
    subject: Subject = None,
    *,
    project: AvatarProject = None,
    driver: DriverOptions,
    output: OutputOptions,
    view: ViewOptions,
    motion: MotionOptions,
    recipe: RecipeOptions,
    common: CommonOptions,
) -> None:
    """Let the avatar of a project speak, or do what another face does."""
    from talkcli.pipeline.animate import VideoRequest, animate

    avatar, speech = split_subject(subject or [], project)
    settings = _settings(recipe, view, motion, driver)
    with reporting(quiet=common.quiet, verbose=common.verbose) as reporter:
        request = VideoRequest(
            command="drive",
            portrait=None,
            movers=_movers(speech, driver),
            project=avatar,
            recipe=settings,
            **output.as_arguments(),
        )
        result = animate(request, reporter)
    show_result(result, reporter.warnings, common)


def split_subject(names: list[Path], project: Path | None) -> tuple[Path, Path | None]:
    """The avatar's project and the speech among the arguments of ``drive``.

    Raises:
        UsageError: no project, or more arguments than there is use for.
    """
    rest = list(names)
    if project is None:
        if not rest:
            raise UsageError("drive needs an avatar", "name its project directory, or give -p")
        project = rest.pop(0)
    if len(rest) > 1:
        raise UsageError(
            f"drive takes one avatar and one speech, not also {rest[1]}", "see talkcli drive --help"
        )
    return project, rest[0] if rest else None


def _settings(
    recipe: RecipeOptions,
    view: ViewOptions,
    motion: MotionOptions,
    driver: DriverOptions,
    **sections: dict[str, object],
) -> Recipe:
    moving = {**dataclasses.asdict(motion), **driver.settings()}
    return recipe_from(recipe, video=view, motion=moving, **sections)


def _movers(speech: Path | None, driver: DriverOptions) -> Movers:
    from talkcli.pipeline.video.performance import Movers

    return Movers(speech, driver.driver, driver.pose_from)
