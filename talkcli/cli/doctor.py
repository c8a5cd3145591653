"""``talkcli doctor``: what is missing on this machine, and the commands that fix it."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

from talkcli.cli.options import CommonOptions, expand_options
from talkcli.cli.show import write_json
from talkcli.errors import MissingDependencyError
from talkcli.pipeline import doctor

_MARKS = {"ok": "[green]ok[/]", "warn": "[yellow]warning[/]", "fail": "[red]FAILED[/]"}


@expand_options
def doctor_command(*, common: CommonOptions) -> None:
    """Check that this machine has everything talkcli needs; exit code 4 if animate cannot run."""
    checks = doctor.run_checks()
    works = doctor.default_path_works(checks)
    if common.as_json:
        answer = {"command": "doctor", "ok": works, "checks": [each.as_dict() for each in checks]}
        write_json(answer)
    else:
        _print_table([each for each in checks if each.status != "ok" or not common.quiet])
    if not works:
        failed = [check for check in checks if check.status == "fail"]
        names = ", ".join(check.name for check in failed)
        error = MissingDependencyError(f"animate cannot run here ({names})", failed[0].fix)
        error.answered = True
        raise error


def _print_table(checks: list[doctor.Check]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for check in checks:
        table.add_row(_MARKS[check.status], check.name, check.detail)
    console = Console()
    console.print(table)
    fixes: dict[str, list[str]] = {}
    for check in checks:
        if check.fix and check.status != "ok":
            fixes.setdefault(check.fix, []).append(check.name)
    for fix, names in fixes.items():
        # Plain echo: a command to be copied must not be wrapped or coloured.
        typer.echo(f"\nTo fix {' and '.join(names)}:\n  {fix}")
