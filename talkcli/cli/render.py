"""``talkcli render``."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from talkcli.cli.engine_option import EngineOptions
from talkcli.cli.options import (
    CommonOptions,
    OutputOptions,
    ProjectArgument,
    ProjectOption,
    ViewOptions,
    expand_options,
    recipe_from,
)
from talkcli.cli.projects import one_project
from talkcli.cli.show import running

_WEIGHT = "NAME=WEIGHT"
# "--expr" is the old spelling.
Expression = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--expression", metavar=_WEIGHT, help="ARKit weight, e.g. jawOpen=0.5; repeatable."
    ),
]
OldExpression = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--expr", metavar=_WEIGHT, hidden=True),
]


@expand_options
def render_command(
    name: ProjectArgument = None,
    *,
    project: ProjectOption = None,
    expression: Expression = None,
    expr: OldExpression = None,
    output: OutputOptions,
    view: ViewOptions,
    recipe: EngineOptions,
    common: CommonOptions,
) -> None:
    """Draw a project's avatar as pictures (.png, .jpg, .webp) or a turntable video (.mp4)."""
    from talkcli import Subject, draw

    place = one_project("render", name, project)
    settings = recipe_from(recipe, recipe.engine, video=view)
    weights = (*(expression or ()), *(expr or ()))
    with running(common, output.run(None)) as run:
        result = draw(
            Subject(place), weights, output=output.output, recipe=settings, run=run.options
        )
        run.show(result)
