"""``talkcli qc``, and what ``--qc`` adds to ``animate`` and ``drive``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from talkcli.cli.options import CommonOptions, RecipeOptions, expand_options, recipe_from
from talkcli.cli.progress import reporting
from talkcli.cli.show import qc_lines, write_json

if TYPE_CHECKING:
    from talkcli.api import RunOptions
    from talkcli.config import Recipe
    from talkcli.pipeline.qc import QcReport
    from talkcli.pipeline.result import Result

Videos = Annotated[list[Path], typer.Argument(metavar="VIDEO...", help="Finished videos.")]


@dataclass(frozen=True)
class QualityOptions:
    """Quality."""

    qc: Annotated[
        bool,
        typer.Option(
            "--qc", help="Check the video afterwards; exit code 6 if it misses a threshold."
        ),
    ] = False

    def refuse(self, recipe: Recipe, output: Path | None) -> None:
        """Refuse, before any work, what cannot be checked; see ``refuse_uncheckable``."""
        from talkcli.pipeline.qc import refuse_uncheckable

        if self.qc:
            refuse_uncheckable(recipe.video, output)

    def checked(self, result: Result, options: RunOptions) -> tuple[Result, list[QcReport]]:
        """The result with what was found in its videos, and the same for :func:`missed`."""
        from talkcli.pipeline.qc import check_videos

        if not self.qc or result.dry_run:
            return replace(result, facts={**result.facts, "qc": None}), []
        reports = check_videos(result.outputs, result.recipe, options.reporter, options.watch)
        found = [report.as_json() for report in reports]
        return replace(result, facts={**result.facts, "qc": found}), reports


@expand_options
def qc_command(videos: Videos, *, recipe: RecipeOptions, common: CommonOptions) -> None:
    """Check videos for faults; exit code 6 if one misses a threshold of the recipe."""
    from talkcli import runtime
    from talkcli.pipeline.qc import QcResult, check_videos, missed
    from talkcli.progress import Stopwatch

    settings, watch = recipe_from(recipe), Stopwatch(runtime.process_age())
    with reporting(quiet=common.quiet, verbose=common.verbose) as reporter:
        reports = check_videos(videos, settings, reporter, watch)
    if common.as_json:
        result = QcResult(tuple(reports), watch.seconds, watch.total())
        write_json({**result.as_json(), "warnings": list(reporter.warnings)})
    elif not common.quiet:
        typer.echo("\n".join(qc_lines([report.as_json() for report in reports])))
    if error := missed(reports):
        raise error
