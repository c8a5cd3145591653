"""``talkcli eval``: how close a made video comes to the real one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from talkcli.cli.motion import show_motion
from talkcli.cli.options import (
    CommonOptions,
    Overwrite,
    RecipeOptions,
    expand_options,
    recipe_from,
)
from talkcli.cli.progress import reporting
from talkcli.cli.show import write_json
from talkcli.errors import UsageError

if TYPE_CHECKING:
    from talkcli.pipeline.evaluate.run import Evaluation

#: More comparisons than this are shown by their medians.
_COLUMNS = 4
Names = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Argument(
        metavar="[MADE REAL]",
        help="Two videos, or two folders of videos with the same names; "
        "cameras with --views, videos with --motion.",
    ),
]
_Number = Optional[float]  # noqa: UP045
_File = Optional[Path]  # noqa: UP045


@dataclass(frozen=True)
class CompareOptions:
    """Comparison."""

    lag_ms: Annotated[
        _Number,
        typer.Option(
            metavar="MS", help="How much later the real picture shows what MADE shows (default: 0)."
        ),
    ] = None
    align: Annotated[
        str,
        typer.Option(
            metavar="auto|none|frame",
            help="Lay faces over each other: not at all, in every frame, or if the shapes differ.",
        ),
    ] = "auto"

    def settings(self) -> Any:
        """The same for the library.

        Raises:
            UsageError: an unknown alignment.
        """
        from talkcli.pipeline.evaluate.compare import EvalSettings

        if self.align not in ("auto", "none", "frame"):
            raise UsageError(f"--align takes auto, none or frame, not {self.align!r}")
        return EvalSettings((self.lag_ms or 0.0) / 1000.0, self.align)


@dataclass(frozen=True)
class SourceOptions:
    """Instead of MADE and REAL."""

    self_reenact: Annotated[
        _File,
        typer.Option(
            metavar="CLIP", help="Make a clip again from one of its frames; compare it with itself."
        ),
    ] = None
    by: Annotated[
        str,
        typer.Option(
            metavar="video|speech", help="What drives that frame: the clip's face or sound."
        ),
    ] = "video"
    source_frame: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(metavar="N", help="Which frame (default: the first neutral one)."),
    ] = None
    baselines: Annotated[
        bool,
        typer.Option("--baselines", help="Also judge a mouth that stays shut, and the bare frame."),
    ] = False
    views: Annotated[
        bool,
        typer.Option(
            "--views",
            help="CAM0 CAM1 ...: make an avatar from one camera, and judge it in the others.",
        ),
    ] = False
    source_camera: Annotated[
        int, typer.Option(metavar="N", help="Which camera of --views (default: 0, the first).")
    ] = 0
    motion: Annotated[
        bool,
        typer.Option(
            "--motion", help="VIDEO...: put the motion in each beside that of real people."
        ),
    ] = False
    subject: Annotated[
        _File,
        typer.Option(
            metavar="PROJECT", help="Judge a fitted avatar by the held-out part of its clip."
        ),
    ] = None

    def reenactment(self, output: Path | None) -> Any:
        """The self-reenactment that was asked for, or None.

        Raises:
            UsageError: an option that only a self-reenactment has.
        """
        from talkcli.pipeline.evaluate.reenact import Reenactment

        if self.self_reenact is None:
            if self.baselines or output is not None:
                raise UsageError(
                    "--baselines and --output are about --self-reenact",
                    "add --self-reenact CLIP",
                )
            return None
        return Reenactment(self.self_reenact, self.by, self.source_frame, self.baselines, output)

    def cameras(self, names: Sequence[Path]) -> Any:
        """The cameras that were named, or None without ``--views``."""
        from talkcli.pipeline.evaluate.views import Views

        return Views(tuple(names), self.source_camera, self.source_frame) if self.views else None

    def check(self, names: Sequence[Path]) -> None:
        """Refuse what does not go together.

        Raises:
            UsageError: more or less than one thing to compare.
        """
        others = [name for name in (self.self_reenact, self.subject) if name is not None]
        wanted = (2, 0) if not others else (0, 1)
        if not self.views and (len(names), len(others)) != wanted:
            raise UsageError(
                "eval compares two videos", "give MADE and REAL, or --self-reenact CLIP"
            )
        if self.views and others:
            raise UsageError("--views compares cameras and nothing else", "give only CAM0 CAM1 ...")


@dataclass(frozen=True)
class ReportOptions:
    """Output."""

    output: Annotated[
        _File, typer.Option("-o", "--output", metavar="VIDEO", help="Keep the made video.")
    ] = None
    csv: Annotated[_File, typer.Option("--csv", metavar="FILE", help="Write the figures.")] = None
    report: Annotated[
        _File,
        typer.Option(
            "--report", metavar="FILE", help="Write a page with figures, pictures and curves."
        ),
    ] = None
    overwrite: Overwrite = False


@expand_options
def eval_command(
    names: Names = None,
    *,
    source: SourceOptions,
    compare: CompareOptions,
    output: ReportOptions,
    recipe: RecipeOptions,
    common: CommonOptions,
) -> None:
    """Measure how close a made video comes to the real one."""
    if source.motion:
        show_motion(tuple(names or ()), recipe_from(recipe), common)
        return
    from talkcli import runtime
    from talkcli.pipeline.evaluate.run import EvalRequest, evaluate
    from talkcli.progress import Stopwatch

    paths = tuple(names or ())
    source.check(paths)
    request = EvalRequest(
        paths,
        recipe_from(recipe),
        compare.settings(),
        reenact=source.reenactment(output.output),
        views=source.cameras(paths),
        subject=source.subject,
        csv=output.csv,
        report=output.report,
        overwrite=output.overwrite,
    )
    with reporting(quiet=common.quiet, verbose=common.verbose) as reporter:
        result = evaluate(request, reporter, Stopwatch(runtime.process_age()))
    show(result, reporter.warnings, common)


def show(result: Evaluation, warnings: list[str], common: CommonOptions) -> None:
    """Print the figures: JSON, or tables."""
    answer = {**result.as_json(), "warnings": list(warnings)}
    if common.as_json:
        write_json(answer)
    else:
        typer.echo(eval_text(answer), nl=False)


def eval_text(answer: dict[str, Any]) -> str:
    """The figures as a table, and under it how they were measured."""
    import io

    from rich.console import Console
    from rich.table import Table

    from talkcli.metrics.report import BEST
    from talkcli.metrics.result import shown

    comparisons = answer["comparisons"]
    pooled = len(comparisons) > _COLUMNS and bool(answer["medians"])
    columns = ["median", "lowest", "highest"] if pooled else [row["name"] for row in comparisons]
    table = Table("figure", "region", *columns, "unit", "best", box=None, pad_edge=False)
    for column in table.columns[2 : 2 + len(columns)]:
        column.justify = "right"
    for number, row in enumerate(comparisons[0]["metrics"]):
        if pooled:
            values = [answer["medians"][number][name] for name in columns]
        else:
            values = [one["metrics"][number]["value"] for one in comparisons]
        cells = [shown(value) for value in values]
        table.add_row(row["label"], row["region"], *cells, row["unit"], BEST[row["better"]])
    text = io.StringIO()
    Console(file=text, width=200, highlight=False).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    for one in comparisons if not pooled else ():
        lines += _facts(one)
    lines += [f"{row['name']}: {row['error']}" for row in answer["failed"]]
    lines.append(f"{answer['protocol']}; {answer['total_seconds']:.1f} s")
    return "\n".join([*lines, *answer["outputs"], ""])


def _facts(one: dict[str, Any]) -> list[str]:
    from talkcli.pipeline.evaluate.run import used_frames

    notes = [f"  {row['label']}: {row['note']}" for row in one["metrics"] if row["note"]]
    return [used_frames(one["name"], one), *notes]
