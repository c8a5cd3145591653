"""``talkcli eval --motion``: how the people in videos move, beside real people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from talkcli.cli.options import CommonOptions
from talkcli.cli.progress import reporting
from talkcli.cli.show import write_json
from talkcli.errors import UsageError

if TYPE_CHECKING:
    from talkcli.config import Recipe

_PROTOCOL = "amplitudes within ten seconds, beside the 10th to 90th percentile of real people"


def show_motion(videos: tuple[Path, ...], recipe: Recipe, common: CommonOptions) -> None:
    """Measure the motion in some videos, and print it.

    Raises:
        UsageError: no video was named.
    """
    from talkcli import runtime
    from talkcli.pipeline.evaluate.run import Evaluation
    from talkcli.pipeline.motion import judge_videos
    from talkcli.progress import Stopwatch

    if not videos:
        raise UsageError("--motion has no video to look at", "name one or more")
    watch = Stopwatch(runtime.process_age())
    with reporting(quiet=common.quiet, verbose=common.verbose) as reporter:
        reports = judge_videos(videos, recipe, reporter, watch)
    result = Evaluation(
        protocol=_PROTOCOL,
        comparisons=(),
        failed=(),
        seconds=watch.seconds,
        total_seconds=watch.total(),
        outputs=(),
        motion=tuple(reports),
    )
    answer = {**result.as_json(), "warnings": list(reporter.warnings)}
    if common.as_json:
        write_json(answer)
    else:
        typer.echo("\n".join(motion_lines(answer["motion"])))


def motion_lines(reports: Sequence[dict[str, Any]]) -> list[str]:
    """The statistics of some videos as a table each, and under it what is unusual."""
    lines = []
    for report in reports:
        lines.append(f"{report['video']} ({report['seconds']:.1f} s)")
        lines.append(f"  {'':<38} {'value':>7}        {'real people':<16} {'z':>5}")
        for row in report["statistics"]:
            value = "–" if row["value"] is None else f"{row['value']:.3g}"
            real = f"{row['low']:.3g} to {row['high']:.3g}"
            z = "" if row["z"] is None else f"{row['z']:+.1f}"
            lines.append(
                f"  {row['label']:<38} {value:>7} {row['unit']:<6} {real:<16} {z:>5}  "
                f"{row['verdict']}".rstrip()
            )
        known = any(row["z"] is not None for row in report["statistics"])
        otherwise = "nothing unusual" if known else "nothing measured: too short, or hardly a face"
        lines += [f"  {text}" for text in report["findings"] or [otherwise]]
    return lines
