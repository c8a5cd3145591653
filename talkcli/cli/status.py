"""``talkcli status``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from talkcli.cli.options import CommonOptions, expand_options
from talkcli.cli.progress import reporting
from talkcli.cli.show import status_lines


@expand_options
def status_command(
    *,
    project: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("-p", "--project", help="Project directory (default: all in the cache)."),
    ] = None,
    common: CommonOptions,
) -> None:
    """Show what a project holds, or which avatars the cache keeps."""
    from talkcli.project.status import cached_projects, project_status

    with reporting(quiet=common.quiet, verbose=common.verbose):
        projects = [project_status(project)] if project else cached_projects()
    answers = [status.as_json() for status in projects]
    if common.as_json:
        typer.echo(json.dumps({"command": "status", "projects": answers}))
    else:
        typer.echo("\n".join(status_lines(answers)) or "the cache holds no avatar")
