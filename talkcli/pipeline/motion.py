"""Judge how the people in videos move, beside real people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkcli.config import Recipe
from talkcli.metrics.motion import motion_statistics
from talkcli.metrics.reference import Judged, judge_motion
from talkcli.metrics.result import Metric
from talkcli.pipeline.stages.inputs import Clip
from talkcli.progress import Reporter, Stopwatch


@dataclass(frozen=True)
class MotionReport:
    """The motion in one video.

    Attributes:
        video: the file.
        seconds: its length.
        statistics: every statistic, beside the one of real people.
    """

    video: Path
    seconds: float
    statistics: tuple[Judged, ...]

    @property
    def metrics(self) -> list[Metric]:
        """The statistics as rows of an evaluation."""
        return [judged.metric() for judged in self.statistics]

    @property
    def findings(self) -> list[str]:
        """What looks dead or restless, the most unusual first: ``head yaw: dead (z -4.2)``."""
        unusual = [judged for judged in self.statistics if judged.verdict]
        unusual.sort(key=lambda judged: -abs(judged.z or 0.0))
        return [
            f"{judged.metric().label}: {judged.verdict} (z {judged.z:+.1f})" for judged in unusual
        ]

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values, with the keys documented in docs/cli.md."""
        return {
            "video": str(self.video.absolute()),
            "seconds": round(self.seconds, 3),
            "findings": self.findings,
            "statistics": [judged.as_json() for judged in self.statistics],
        }


def judge_videos(
    videos: Sequence[Path], recipe: Recipe, reporter: Reporter, watch: Stopwatch
) -> list[MotionReport]:
    """Measure the motion in some videos; nothing is compared between them.

    Args:
        videos: files with one face each.
        recipe: its ``tracking`` settings and ``motion.speech_model`` apply.
        reporter: receives progress and warnings.
        watch: receives the seconds of every part of the work.

    Raises:
        InputError: not a video, or no face in it.
        MissingDependencyError: the requested landmark network is not available.
    """
    from talkcli.pipeline.observe import observe

    reports = []
    for video in videos:
        observed = observe(Clip(video), recipe, reporter, watch)
        judged = judge_motion(motion_statistics(observed))
        reports.append(MotionReport(video, observed.curves.duration_s, tuple(judged)))
    return reports
