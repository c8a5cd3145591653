"""``talkcli animate`` and ``talkcli drive``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from talkcli.cli.options import (
    CommonOptions,
    DriverOptions,
    MotionOptions,
    Portrait,
    ProjectOption,
    RecipeOptions,
    SourceOptions,
    SpokenOutputOptions,
    ViewOptions,
    expand_options,
    project_and_rest,
    recipe_from,
)
from talkcli.cli.show import running
from talkcli.config import Recipe
from talkcli.errors import UsageError

# Typer resolves these at run time, on Python 3.10 too.
Speech = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Argument(
        metavar="SPEECH", help="Audio file, or a clip with sound; optional with --driver."
    ),
]
Names = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Argument(
        metavar="[PROJECT] [SPEECH]",
        help="Project directory (omit with -p), then an audio file or a clip with sound.",
    ),
]


@expand_options
def animate_command(  # noqa: PLR0913 - one parameter per group of options
    portrait: Portrait,
    speech: Speech = None,
    *,
    source: SourceOptions,
    driver: DriverOptions,
    output: SpokenOutputOptions,
    view: ViewOptions,
    motion: MotionOptions,
    recipe: RecipeOptions,
    common: CommonOptions,
) -> None:
    """Turn a portrait into a video in which it speaks, or follows another face."""
    from talkcli import animate

    settings = _settings(recipe, view, output, motion, driver, portrait=source.settings())
    with running(common, output.run(source.project)) as run:
        given = _given(driver, output, settings)
        run.show(animate(_file(portrait), speech, run=run.options, **given))


@expand_options
def drive_command(
    names: Names = None,
    *,
    project: ProjectOption = None,
    driver: DriverOptions,
    output: SpokenOutputOptions,
    view: ViewOptions,
    motion: MotionOptions,
    recipe: RecipeOptions,
    common: CommonOptions,
) -> None:
    """Make a video in which a project's avatar speaks, or follows another face."""
    from talkcli import Subject, animate

    place, rest = project_and_rest("drive", names, project)
    if len(rest) > 1:
        raise UsageError(f"drive takes one project and one speech file, not {rest[1]} as well")
    settings = _settings(recipe, view, output, motion, driver)
    with running(common, output.run(None)) as run:
        given = _given(driver, output, settings)
        speech = rest[0] if rest else None
        run.show(animate(Subject(place), speech, run=run.options, **given))


def _settings(
    recipe: RecipeOptions,
    view: ViewOptions,
    output: SpokenOutputOptions,
    motion: MotionOptions,
    driver: DriverOptions,
    **sections: dict[str, object],
) -> Recipe:
    video = {**dataclasses.asdict(view), "with_sound": output.with_sound}
    moving = {**dataclasses.asdict(motion), **driver.settings()}
    return recipe_from(recipe, video=video, motion=moving, **sections)


def _given(driver: DriverOptions, output: SpokenOutputOptions, settings: Recipe) -> dict[str, Any]:
    return {
        "driver": driver.file,
        "pose_from": driver.pose_from,
        "output": output.output,
        "recipe": settings,
    }


def _file(portrait: Path) -> Path:
    """Refuse a directory as the portrait: the API would take it for a project."""
    from talkcli.files.check import check_readable

    return check_readable(portrait, "a picture") if portrait.is_dir() else portrait
