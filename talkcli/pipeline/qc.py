"""Check finished videos for faults, against the thresholds of the recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkcli import __version__
from talkcli.config import Recipe, VideoConfig
from talkcli.errors import InputError, QualityError, UsageError
from talkcli.pipeline.stages.inputs import Clip
from talkcli.progress import Reporter, Stopwatch

if TYPE_CHECKING:
    from talkcli.metrics.quality import Check


@dataclass(frozen=True)
class QcReport:
    """What was found in one video.

    Attributes:
        video: the file.
        frames: number of frames.
        seconds: length.
        checks: one for each fault.
    """

    video: Path
    frames: int
    seconds: float
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks whose threshold is missed."""
        return tuple(check for check in self.checks if check.status == "failed")

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values, with the keys documented in docs/cli.md."""
        return {
            "video": str(self.video.absolute()),
            "frames": self.frames,
            "duration_s": round(self.seconds, 3),
            "passed": not self.failed,
            "checks": [check.as_json() for check in self.checks],
        }


@dataclass(frozen=True)
class QcResult:
    """The result of ``talkcli qc``.

    Attributes:
        reports: one for each video.
        seconds: of each part of the work.
        total_seconds: of the whole run.
    """

    reports: tuple[QcReport, ...]
    seconds: dict[str, float]
    total_seconds: float

    def as_json(self) -> dict[str, Any]:
        """The result as JSON values, with the keys documented in docs/cli.md."""
        return {
            "command": "qc",
            "version": __version__,
            "passed": not any(report.failed for report in self.reports),
            "videos": [report.as_json() for report in self.reports],
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "total_seconds": round(self.total_seconds, 3),
        }


def check_videos(
    videos: Sequence[Path], recipe: Recipe, reporter: Reporter, watch: Stopwatch
) -> list[QcReport]:
    """Look for faults in some videos, in constant memory.

    Args:
        videos: files with one face each.
        recipe: its ``qc`` and ``tracking`` settings and ``motion.speech_model`` apply.
        reporter: receives progress and warnings.
        watch: receives the seconds of every part of the work.

    Raises:
        InputError: not a video.
        MissingDependencyError: the requested landmark network is not available.
    """
    return [_check(Clip(video), recipe, reporter, watch) for video in videos]


def _check(clip: Clip, recipe: Recipe, reporter: Reporter, watch: Stopwatch) -> QcReport:
    from talkcli.metrics.faults import FaultFinder
    from talkcli.metrics.quality import quality_checks
    from talkcli.pipeline.observe import observe

    limits = dataclasses.asdict(recipe.qc)
    finder = FaultFinder()
    _ = clip.info  # what is no video is refused as such
    try:
        observed = observe(clip, recipe, reporter, watch, [finder])
    except InputError as error:
        if clip.info.n_frames and "no face" in error.what:
            return _faceless(clip, limits)
        raise
    checks = quality_checks(observed, finder.faults(), limits)
    frames = len(observed.times)
    return QcReport(clip.path, frames, observed.curves.duration_s, tuple(checks))


def _faceless(clip: Clip, limits: dict[str, float]) -> QcReport:
    """The report of a video in which no face can be followed: everything but that is unknown."""
    from talkcli.metrics.quality import Check

    checks = []
    for name, limit in limits.items():
        value = 100.0 if name == "face_lost" else None
        note = "" if value else "no face can be followed"
        checks.append(Check(name, name.replace("_", " "), value, "", note=note, limit=limit))
    return QcReport(clip.path, clip.info.n_frames, clip.duration_s, tuple(checks))


def refuse_uncheckable(video: VideoConfig, output: Path | None) -> None:
    """Refuse ``--qc`` for what is no video of one face, before any work.

    Args:
        video: how the video will look.
        output: where it goes; None for the default, which is a video.

    Raises:
        UsageError: several views in one file, or a folder of pictures.
    """
    from talkcli.media.write import is_folder

    if len(video.views) > 1 and video.layout == "strip":
        raise UsageError("--qc checks one face per video", "add --layout files, or give one view")
    if output is not None and is_folder(output):
        raise UsageError(
            f"--qc checks videos, and {output} is a folder of pictures", "write a .mp4"
        )


def missed(reports: Sequence[QcReport]) -> QualityError | None:
    """The error for videos that miss a threshold, or None; its command has answered already."""
    bad = [report for report in reports if report.failed]
    if not bad:
        return None
    told = "; ".join(
        f"{report.video}: {', '.join(_told(check) for check in report.failed)}" for report in bad
    )
    worst = bad[0].failed[0].name
    error = QualityError(
        told, f"the video is complete; change it, or the threshold with --set qc.{worst}=VALUE"
    )
    error.answered = True
    return error


def _told(check: Check) -> str:
    assert check.value is not None
    word = "at least" if check.least else "at most"
    unit = f" {check.unit}" if check.unit else ""
    return f"{check.label} {check.value:.3g}{unit} ({word} {check.limit:g})"
