"""``talkcli models``: networks of others that the user may install."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from talkcli.cli.flags import Command, Group
from talkcli.cli.options import CommonOptions, expand_options
from talkcli.cli.progress import reporting
from talkcli.cli.show import write_json
from talkcli.errors import MissingDependencyError

_HELP = "Install networks of others, which some metrics need; nothing is downloaded unasked."

models_app = typer.Typer(cls=Group, help=_HELP)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="A name of talkcli models list.")]
_Names = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Argument(metavar="[NAME]...", help="Names of talkcli models list (default: all)."),
]


@models_app.callback()
def _group() -> None:
    """Install networks of others, which some metrics need; nothing is downloaded unasked."""


@models_app.command("list", cls=Command)
@expand_options
def list_command(*, common: CommonOptions) -> None:
    """Show all models: purpose, source, size, licence and SHA-256."""
    from talkcli.pipeline.models import model_statuses

    _show([status.as_json() for status in model_statuses()], "models list", common)


@models_app.command("pull", cls=Command)
@expand_options
def pull_command(
    name: _Name,
    *,
    source: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--from", metavar="FILE", help="Install this file instead of a download."),
    ] = None,
    common: CommonOptions,
) -> None:
    """Download a model, or what is missing of it, and check its SHA-256."""
    from talkcli.pipeline.models import pull_model

    with reporting(quiet=common.quiet, verbose=common.verbose) as reporter:
        status = pull_model(name, source, reporter)
    if common.as_json:
        answer = {"command": "models pull", "models": [status.as_json()]}
        write_json({**answer, "warnings": list(reporter.warnings)})
    elif not common.quiet:
        typer.echo(str(status.path))


@models_app.command("path", cls=Command)
@expand_options
def path_command(name: _Name, *, common: CommonOptions) -> None:
    """Print the path of an installed model."""
    from talkcli.pipeline.models import installed_path, model_statuses

    path = installed_path(name)
    if common.as_json:
        (status,) = model_statuses((name,))
        write_json({"command": "models path", "models": [status.as_json()]})
    else:
        typer.echo(str(path))


@models_app.command("verify", cls=Command)
@expand_options
def verify_command(names: _Names = None, *, common: CommonOptions) -> None:
    """Compute the SHA-256 of installed models; exit code 4 if a named one is not right."""
    from talkcli.pipeline.models import model_statuses

    statuses = model_statuses(tuple(names or ()), thorough=True)
    wrong = [s for s in statuses if s.state != "installed" and (names or s.state == "damaged")]
    if common.as_json:
        answers = [status.as_json() for status in statuses]
        write_json({"command": "models verify", "models": answers})
    elif not common.quiet:
        for status in statuses:
            typer.echo(f"{status.model.name:<24} {status.state}")
    if wrong:
        first = wrong[0].model.name
        named = ", ".join(f"{status.model.name} is {status.state}" for status in wrong)
        error = MissingDependencyError(named, f"run: talkcli models pull {first}")
        error.answered = True
        raise error


def _show(models: list[dict[str, Any]], command: str, common: CommonOptions) -> None:
    if common.as_json:
        write_json({"command": command, "models": models})
        return
    for model in models:
        typer.echo(
            f"{model['name']:<24} {model['state']:<10} {model['size'] / 1e6:7.1f} MB  "
            f"{model['licence']}\n  {model['purpose']}\n  {model['url']}\n"
            f"  sha256 {model['sha256']}"
        )
