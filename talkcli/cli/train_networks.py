"""``talkcli train prepare`` and the training of engines that learn from many people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from talkcli.cli.progress import reporting


def prepare_command(
    data: Annotated[
        Path,
        typer.Option(
            "--data", metavar="DIR", help="Folder of pictures, or one with a list of them."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the pack.")],
    kinds: Annotated[
        str, typer.Option(metavar="NAME,...", help="Subfolders to take, of a folder with lists.")
    ] = "synthetic",
    limit: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="At most so many pictures, held-out people first."),
    ] = None,
) -> None:
    """Build the avatars of many pictures, and keep what a network can learn from them."""
    from talkcli.train.prepare import make_pack, plan_pack

    files = plan_pack(data, kinds.split(","), limit)
    with reporting(quiet=False, verbose=False) as reporter:
        task = reporter.begin("pictures", len(files))
        made = make_pack(data, files, output, task)
        reporter.end(task)
    typer.echo(f"{made.used} pictures added to {output}, {made.skipped} without a usable face")
