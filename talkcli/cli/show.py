"""Show results as JSON on stdout (``--json``) or as a short table on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkcli.cli.options import CommonOptions
from talkcli.cli.progress import reporting

if TYPE_CHECKING:
    from talkcli.api import RunOptions
    from talkcli.pipeline.result import Result

#: How the checks of a video went.
_MARKS = {"ok": "ok", "failed": "FAILED", "unknown": "–", "unchecked": "not checked"}
#: The order in which the parts of the work are shown.
_ORDER = ("load", "compile", "track", "build", "motion", "render", "compose", "encode", "export")


class UnwritableAnswerError(Exception):
    """Stdout cannot be written: its disk is full, or its device refuses."""


def write_json(answer: Mapping[str, Any]) -> None:
    """Write one JSON object to stdout.

    Raises:
        UnwritableAnswerError: stdout cannot be written.
    """
    try:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UnwritableAnswerError(error.strerror or str(error)) from error


@dataclass
class Running:
    """A running command.

    Attributes:
        options: how it runs, and the reporter.
        result: what it made.
    """

    options: RunOptions
    result: Result | None = None

    def show(self, result: Result | None) -> None:
        """Keep the result, to be shown once the progress display is closed."""
        self.result = result


@contextmanager
def running(common: CommonOptions, options: RunOptions) -> Iterator[Running]:
    """Show progress on stderr during the block, and its result afterwards.

    Args:
        common: how much is printed.
        options: how the command runs; its reporter is replaced.
    """
    with reporting(quiet=common.quiet, verbose=common.verbose) as reporter:
        run = Running(replace(options, reporter=reporter))
        yield run
    if run.result is not None:
        show_result(run.result, reporter.warnings, common)


def show_result(result: Result, warnings: Sequence[str], common: CommonOptions) -> None:
    """Print what was made: JSON on stdout, a table on stderr, or nothing with ``-q``."""
    answer = {**result.as_json(), "warnings": list(warnings)}
    if common.as_json:
        write_json(answer)
    elif not common.quiet:
        sys.stderr.write("\n".join(_lines(answer)) + "\n")


def _lines(answer: dict[str, Any]) -> list[str]:
    if answer.get("dry_run"):
        return _plan_lines(answer)
    lines = []
    seconds = dict(sorted(answer.get("seconds", {}).items(), key=lambda item: _rank(item[0])))
    if seconds:
        names = [*seconds, "total"]
        figures = [*seconds.values(), answer.get("total_seconds", sum(seconds.values()))]
        widths = [max(len(name), 7) for name in names]
        lines.append("  ".join(n.rjust(w) for n, w in zip(names, widths, strict=True)))
        lines.append("  ".join(f"{s:.2f} s".rjust(w) for s, w in zip(figures, widths, strict=True)))
    if answer.get("real_time_factor") is not None:
        lines.append(
            f"{answer['duration_s']:.2f} s of video, {answer['frames']} frames of "
            f"{answer['width']}x{answer['height']}; real-time factor "
            f"{answer['real_time_factor']:.2f} (seconds of work per second of video)"
        )
        lines.append(f"first frame after {answer['first_frame_s']:.2f} s; the parts overlap")
    for output in [*answer["outputs"], *answer.get("sound_files", ())]:
        lines.append(f"{output} ({_size(Path(os.path.realpath(output)))})")
    if not answer["outputs"]:
        lines.append(answer["project"])
    if answer.get("prepared"):
        lines += prepared_lines(answer["prepared"], answer["contact_sheet"])
    if answer.get("fit"):
        lines += fit_lines(answer["fit"])
    return lines + qc_lines(answer.get("qc") or ())


def _rank(name: str) -> int:
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


def _plan_lines(answer: dict[str, Any]) -> list[str]:
    lines = [f"{stage['stage']}: {stage['status']}" for stage in answer["stages"]]
    if answer.get("duration_s") is not None:
        lines.append(f"video: {answer['frames']} frames, {answer['duration_s']:.2f} s")
    written = [*answer["outputs"], *answer.get("sound_files", ())]
    lines += [f"would write {output}" for output in written]
    return [*lines, f"project {answer['project']}", "nothing was made (--dry-run)"]


def qc_lines(reports: Sequence[dict[str, Any]]) -> list[str]:
    """The checks of some videos as a table each."""
    lines = []
    for report in reports:
        verdict = "passed" if report["passed"] else "FAILED"
        lines.append(
            f"{report['video']}: {verdict} ({report['frames']} frames, {report['duration_s']:g} s)"
        )
        for check in report["checks"]:
            value = "–" if check["value"] is None else f"{check['value']:.3g}"
            limit = "" if check["limit"] is None else f"(limit {check['limit']:g})"
            worst = "" if check["worst_s"] is None else f"worst at {check['worst_s']:.2f} s"
            note = check["note"] or worst
            lines.append(
                f"  {_MARKS[check['status']]:<11} {check['label']:<30} {value:>6} "
                f"{check['unit']:<9} {limit:<12} {note}".rstrip()
            )
    return lines


def prepared_lines(clip: dict[str, Any], sheet: str) -> list[str]:
    """What a prepared clip is good for, in words."""
    verdict, (start, end) = clip["verdict"], clip["segment_s"]
    lines = [
        f"{start:g} to {end:g} s of the clip: {clip['usable']} of {clip['frames']} frames are "
        f"usable ({verdict['usable_min']:.2f} minutes), {clip['stored']} are kept"
    ]
    bad = [f"{word} {share:.1%}" for word, share in verdict["reasons"].items() if share]
    if bad:
        lines.append(f"left out: {', '.join(bad)}")
    if clip["offset_s"]:
        way = "later" if clip["offset_s"] > 0 else "earlier"
        late = abs(1000 * clip["offset_s"])
        lines.append(f"the lips are {late:.0f} ms {way} than the sound, which is corrected")
    lines.append(f"good enough for: {', '.join(verdict['good_enough_for'])}")
    lines += [f"missing: {text}" for text in verdict["missing"]]
    return [*lines, sheet]


def fit_lines(fit: dict[str, Any]) -> list[str]:
    """How well an avatar shows what it was not fitted to."""
    told = [
        f"{region} {fit['after'][region]:.1f} dB (before the fit {fit['before'][region]:.1f})"
        for region in ("face", "mouth")
    ]
    return [f"{fit['held_out']} frames that were held out: {', '.join(told)}"]


def status_lines(projects: Sequence[dict[str, Any]]) -> list[str]:
    """Format the projects, one paragraph each."""
    lines = []
    for project in projects:
        lines.append(project["project"])
        for name, path in project["inputs"].items():
            mark = " (changed or gone)" if name in project["changed_inputs"] else ""
            lines.append(f"  made from {path}{mark}")
        for stage in project["stages"]:
            current = stage["current"] or "missing or damaged"
            entries = f"{stage['entries']} stored, {_bytes(stage['bytes'])}"
            lines.append(f"  {stage['stage']}: {current} ({entries})")
        if project["trusted"]:
            yaw, pitch = project["trusted"]["yaw_deg"], project["trusted"]["pitch_deg"]
            lines.append(
                f"  trusted views: yaw {yaw[0]:.0f} to {yaw[1]:.0f} degrees, "
                f"pitch {pitch[0]:.0f} to {pitch[1]:.0f}"
            )
    return lines


def _size(path: Path) -> str:
    files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
    return _bytes(sum(item.stat().st_size for item in files))


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} KB"
