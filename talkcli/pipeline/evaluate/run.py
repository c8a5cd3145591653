"""``talkcli eval``: which videos are compared, and what becomes of the figures."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from talkcli import __version__
from talkcli.config import Recipe
from talkcli.errors import InputError, TalkcliError, UsageError
from talkcli.files.check import check_readable
from talkcli.metrics.plots import Plot
from talkcli.pipeline.checks import check_files
from talkcli.pipeline.evaluate.compare import Comparison, Context, EvalSettings, compare
from talkcli.pipeline.evaluate.reenact import Reenactment, reenact
from talkcli.pipeline.evaluate.subject import compare_subject
from talkcli.pipeline.evaluate.views import Views, compare_views
from talkcli.pipeline.motion import MotionReport
from talkcli.pipeline.stages.inputs import Clip
from talkcli.progress import Reporter, Stopwatch

#: Endings of files that are taken for videos in a folder.
_VIDEOS = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"})
_CSV_HEAD = ("comparison", "figure", "region", "value", "unit", "better", "note")


@dataclass(frozen=True)
class EvalRequest:
    """What ``talkcli eval`` is asked to do.

    Attributes:
        paths: a video and what it should be, or two folders with files of the same names; empty
            with one of the following.
        recipe: its ``tracking`` settings apply.
        settings: how videos are compared.
        reenact: make a clip again from one of its frames, and compare it with itself.
        views: draw an avatar as other cameras see it, and compare it with what they saw.
        subject: a project whose avatar was fitted to a clip.
        csv: file for the figures, or None.
        report: file for a page with figures, pictures and curves, or None.
        overwrite: whether existing outputs may be replaced.
    """

    paths: tuple[Path, ...]
    recipe: Recipe
    settings: EvalSettings = field(default_factory=EvalSettings)
    reenact: Reenactment | None = None
    views: Views | None = None
    subject: Path | None = None
    csv: Path | None = None
    report: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Evaluation:
    """The result of ``talkcli eval``.

    Attributes:
        protocol: how the figures were measured, in a sentence.
        comparisons: one for each pair.
        failed: name and error of the pairs of folders that could not be compared.
        seconds: of each part of the work.
        total_seconds: of the whole run.
        outputs: files that were written.
        pooled: whether the comparisons are of one kind, so that medians over them mean something.
        motion: how the people in videos move, where that was asked for.
    """

    protocol: str
    comparisons: tuple[Comparison, ...]
    failed: tuple[tuple[str, TalkcliError], ...]
    seconds: dict[str, float]
    total_seconds: float
    outputs: tuple[Path, ...]
    pooled: bool = False
    motion: tuple[MotionReport, ...] = ()

    def medians(self) -> list[dict[str, Any]]:
        """Every figure over all comparisons; empty unless :attr:`pooled`."""
        rows: dict[str, list[float]] = {}
        heads: dict[str, dict[str, Any]] = {}
        for comparison in self.comparisons if self.pooled else ():
            for row in comparison.metrics:
                heads.setdefault(row.name, row.as_json())
                values = rows.setdefault(row.name, [])
                if row.value is not None:
                    values.append(row.value)
        return [
            {
                **{key: heads[name][key] for key in ("name", "label", "unit", "better", "region")},
                "median": round(statistics.median(values), 5) if values else None,
                "lowest": round(min(values), 5) if values else None,
                "highest": round(max(values), 5) if values else None,
                "count": len(values),
            }
            for name, values in rows.items()
        ]

    def as_json(self) -> dict[str, Any]:
        """The result as JSON values, with the keys documented in docs/cli.md."""
        return {
            "command": "eval",
            "version": __version__,
            "protocol": self.protocol,
            "comparisons": [comparison.as_json() for comparison in self.comparisons],
            "failed": [
                {"name": name, "error": error.what, "mend": error.fix}
                for name, error in self.failed
            ],
            "medians": self.medians(),
            "motion": [report.as_json() for report in self.motion],
            "outputs": [str(path.absolute()) for path in self.outputs],
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "total_seconds": round(self.total_seconds, 3),
        }


@dataclass(frozen=True)
class _Judged:
    """Comparisons and how they were made; attributes as of :class:`Evaluation`."""

    comparisons: list[Comparison]
    protocol: str
    failed: list[tuple[str, TalkcliError]] = field(default_factory=list)
    pooled: bool = False


def evaluate(request: EvalRequest, reporter: Reporter, watch: Stopwatch) -> Evaluation:
    """Compare videos, or make one from a clip and compare it with that.

    Args:
        request: the files and settings.
        reporter: receives progress and warnings.
        watch: receives the seconds of every part of the work.

    Raises:
        UsageError: a file and a folder are to be compared, or settings that do not exist.
        InputError: nothing can be compared, or an output cannot be written.
        MissingDependencyError: the requested landmark network or renderer is not available.
    """
    pictures = request.report is not None
    context = Context(request.recipe, request.settings, reporter, watch, pictures)
    if request.subject is not None:
        outputs = _check_outputs(request, [])
        judged = _Judged(*compare_subject(request.subject, context))
    elif request.reenact is not None:
        outputs = _check_outputs(request, [request.reenact.clip])
        judged = _Judged(*reenact(request.reenact, context, overwrite=request.overwrite))
    elif request.views is not None:
        outputs = _check_outputs(request, request.views.cameras)
        judged = _Judged(*compare_views(request.views, context))
    else:
        pairs = _pairs(request.paths, reporter)
        outputs = _check_outputs(request, [path for pair in pairs.values() for path in pair])
        judged = _compare_all(pairs, context, pooled=request.paths[0].is_dir())
    evaluation = Evaluation(
        protocol=judged.protocol,
        comparisons=tuple(judged.comparisons),
        failed=tuple(judged.failed),
        seconds=watch.seconds,
        total_seconds=watch.total(),
        outputs=outputs,
        pooled=judged.pooled,
    )
    write_outputs(evaluation, request)
    return evaluation


def _check_outputs(request: EvalRequest, inputs: Sequence[Path]) -> tuple[Path, ...]:
    """The files that will be written, after a check that they can be."""
    made = None if request.reenact is None else request.reenact.output
    outputs = tuple(path for path in (made, request.csv, request.report) if path is not None)
    check_files(outputs, inputs, overwrite=request.overwrite)
    return outputs


def _compare_all(pairs: dict[str, tuple[Path, Path]], context: Context, *, pooled: bool) -> _Judged:
    """Compare every pair; in folders, one that cannot be compared does not stop the others."""
    done: list[Comparison] = []
    failed: list[tuple[str, TalkcliError]] = []
    for name, (made, real) in pairs.items():
        try:
            done.append(compare(name, Clip(made), Clip(real), context))
        except InputError as error:
            if not pooled:
                raise
            failed.append((name, error))
            context.reporter.warn(f"{name} is left out: {error}")
    if not done:
        raise InputError(f"none of {len(pairs)} pairs can be compared", "see the warnings above")
    how = "frames paired by time, measured in the pixels of the real video"
    return _Judged(done, how, failed, pooled)


def write_outputs(evaluation: Evaluation, request: EvalRequest) -> None:
    """Write the files that were asked for.

    Raises:
        InputError: a file cannot be written.
    """
    from talkcli.files.output import PendingOutput

    for path, text in ((request.csv, csv_text), (request.report, report_text)):
        if path is not None:
            with PendingOutput(path, overwrite=request.overwrite) as pending:
                pending.write(text(evaluation).encode())
                pending.commit()


def csv_text(evaluation: Evaluation) -> str:
    """One line for each figure of each comparison, under a line of names."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(_CSV_HEAD)
    for comparison in evaluation.comparisons:
        for row in comparison.metrics:
            value = "" if row.value is None else f"{row.value:.6g}"
            lines.writerow(
                (comparison.name, row.name, row.region, value, row.unit, row.better, row.note)
            )
    return text.getvalue()


def report_text(evaluation: Evaluation) -> str:
    """The report: one page with figures, pictures and curves over time."""
    from talkcli.metrics.report import Section, report_html

    sections = [
        Section(one.name, (used_frames(one.name, one.facts),), one.metrics, plots(one), one.gallery)
        for one in evaluation.comparisons
    ]
    names = ", ".join(dict.fromkeys(one.real.name for one in evaluation.comparisons[:4]))
    notes = [f"{name} could not be compared: {error}" for name, error in evaluation.failed]
    return report_html(f"talkcli eval: {names}", evaluation.protocol, sections, notes)


def plots(one: Comparison) -> tuple[Plot, ...]:
    """Curves over time: lips, pose and errors."""
    times, lips, poses = one.tracks.times, one.tracks, one.poses
    frames = {row.name: row for row in one.metrics if row.frames is not None}
    drawn = [
        Plot("lip aperture, % of the face height", times, lips.made[:, 0], lips.real[:, 0]),
        Plot("lip width, % of the face height", times, lips.made[:, 1], lips.real[:, 1]),
    ]
    for k, angle in enumerate(("yaw", "pitch", "roll")):
        drawn.append(Plot(f"{angle} of the head, degrees", times, poses[:, k], poses[:, k + 3]))
    for name in ("landmark_error_lips", "psnr_face"):
        row = frames.get(name)
        if row is not None and row.frames is not None and len(row.frames) == len(times):
            unit = f", {row.unit}" if row.unit else ""
            drawn.append(Plot(f"{row.label} {row.region}".strip() + unit, times, row.frames))
    return tuple(drawn)


def used_frames(name: str, facts: dict[str, Any]) -> str:
    """What was compared and what was left out, in a sentence."""
    return (
        f"{name}: {facts['frames_used']} pairs of {facts['width']}x{facts['height']}; left out "
        f"{facts['made_dropped']} of {facts['made_frames']} made and {facts['real_dropped']} of "
        f"{facts['real_frames']} real frames; no face in {facts['frames_without_face']}; "
        f"aligned: {facts['align']}; lag {facts['lag_ms']:g} ms; {facts['apart_ms']:.1f} ms apart"
    )


def _pairs(paths: Sequence[Path], reporter: Reporter) -> dict[str, tuple[Path, Path]]:
    """The files that belong together, by name."""
    made, real = paths
    for path in paths:
        if not path.is_dir():
            check_readable(path, "a video")
    if made.is_dir() != real.is_dir():
        raise UsageError(f"{made} and {real} are not of one kind", "give two files or two folders")
    if not made.is_dir():
        return {made.stem: (made, real)}
    ours, theirs = (_videos(folder) for folder in (made, real))
    common = sorted(ours.keys() & theirs.keys())
    if not common:
        raise InputError(
            f"no video in {made} has the name of one in {real}",
            "name the files of a pair alike, apart from their endings",
        )
    for folder, files in ((made, ours), (real, theirs)):
        alone = sorted(files.keys() - set(common))
        if alone:
            reporter.warn(f"without a partner in {folder} ({len(alone)}): {', '.join(alone)}")
    return {name: (ours[name], theirs[name]) for name in common}


def _videos(folder: Path) -> dict[str, Path]:
    files = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in _VIDEOS)
    return {path.stem: path for path in files}
