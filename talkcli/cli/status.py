"""``talkcli status``."""

from __future__ import annotations

import json

import typer

from talkcli.cli.options import CommonOptions, ProjectArgument, ProjectOption, expand_options
from talkcli.cli.progress import reporting
from talkcli.cli.show import status_lines
from talkcli.errors import UsageError


@expand_options
def status_command(
    name: ProjectArgument = None,
    *,
    project: ProjectOption = None,
    common: CommonOptions,
) -> None:
    """Show what a project holds, or without one which avatars the cache keeps."""
    from talkcli.project.status import cached_projects, project_status

    if name is not None and project is not None:
        raise UsageError("the project is named twice", "give it as PROJECT or with -p")
    place = name or project
    with reporting(quiet=common.quiet, verbose=common.verbose):
        projects = [project_status(place)] if place else cached_projects()
    answers = [status.as_json() for status in projects]
    if common.as_json:
        typer.echo(json.dumps({"command": "status", "projects": answers}))
    else:
        typer.echo("\n".join(status_lines(answers)) or "the cache holds no avatar")
