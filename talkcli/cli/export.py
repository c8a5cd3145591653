"""``talkcli export``."""

from __future__ import annotations

from talkcli.cli.options import (
    CommonOptions,
    OutputOptions,
    ProjectArgument,
    ProjectOption,
    RecipeOptions,
    expand_options,
    recipe_from,
)
from talkcli.cli.projects import one_project
from talkcli.cli.show import running


@expand_options
def export_command(
    name: ProjectArgument = None,
    *,
    project: ProjectOption = None,
    output: OutputOptions,
    recipe: RecipeOptions,
    common: CommonOptions,
) -> None:
    """Export the neutral head of a project's avatar as a 3DGS file (.ply)."""
    from talkcli import Subject, export

    place = one_project("export", name, project)
    with running(common, output.run(None)) as run:
        result = export(Subject(place), output.output, recipe=recipe_from(recipe), run=run.options)
        run.show(result)
