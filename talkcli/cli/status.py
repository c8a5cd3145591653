"""``talkcli status``."""

from __future__ import annotations

from typing import Annotated

import typer

from talkcli.cli.flags import a_number
from talkcli.cli.options import (
    CommonOptions,
    ProjectArgument,
    ProjectOption,
    expand_options,
)
from talkcli.cli.progress import reporting
from talkcli.cli.projects import named_once
from talkcli.cli.show import status_lines, write_json
from talkcli.errors import UsageError
from talkcli.project.prune import MAX_AGE_DAYS, MAX_BYTES


@expand_options
def status_command(
    name: ProjectArgument = None,
    *,
    project: ProjectOption = None,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="Remove old entries from the cache, then the oldest of the rest."
        ),
    ] = False,
    max_gb: Annotated[
        float,
        typer.Option(
            metavar="GB",
            min=0,
            callback=a_number,
            help="Size that --prune reduces the cache to.",
        ),
    ] = MAX_BYTES / 1e9,
    max_age_days: Annotated[
        float,
        typer.Option(
            metavar="DAYS",
            min=0,
            callback=a_number,
            help="How long --prune keeps unused entries.",
        ),
    ] = MAX_AGE_DAYS,
    common: CommonOptions,
) -> None:
    """Show the contents of a project or, without one, the avatars in the cache."""
    from talkcli.project.status import cached_projects, project_status

    place = named_once(name, project)
    if prune:
        if place is not None:
            raise UsageError("--prune clears the cache, not a project", "omit the project")
        _prune(max_gb, max_age_days, common)
        return
    with reporting(quiet=common.quiet, verbose=common.verbose):
        projects = [project_status(place)] if place else cached_projects()
    answers = [status.as_json() for status in projects]
    if common.as_json:
        write_json({"command": "status", "projects": answers})
    else:
        typer.echo("\n".join(status_lines(answers)) or "the cache holds no avatars")


def _prune(max_gb: float, max_age_days: float, common: CommonOptions) -> None:
    from talkcli.project.prune import prune_cache

    with reporting(quiet=common.quiet, verbose=common.verbose):
        pruned = prune_cache(max_gb * 1e9, max_age_days)
    if common.as_json:
        write_json({"command": "status", **pruned.as_json()})
        return
    lines = [f"removed {path}" for path in pruned.removed]
    lines += [f"kept, in use: {path}" for path in pruned.busy]
    lines.append(f"{pruned.freed / 1e6:.1f} MB freed, {pruned.kept / 1e6:.1f} MB left")
    typer.echo("\n".join(lines))
