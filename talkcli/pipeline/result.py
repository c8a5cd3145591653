"""What a run answers, one shape for every command: for people as a table, for programs as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from talkcli import __version__
from talkcli.config import Recipe
from talkcli.project import StageRun


@dataclass(frozen=True)
class Result:
    """What a command made, or with ``dry_run`` what it would make.

    Attributes:
        command: the command that made it.
        outputs: files, in the order of the views.
        project: directory that holds the stages.
        stages: what was executed and what was reused.
        seconds: by part of the work. The parts of a video overlap, and together may take longer
            than the whole.
        total_seconds: the whole run.
        recipe: all settings.
        dry_run: nothing was made.
        facts: what this command has to say beside, JSON values; the same keys in a plan, None
            where only the run can tell.
    """

    command: str
    outputs: tuple[Path, ...]
    project: Path
    stages: tuple[StageRun, ...]
    seconds: Mapping[str, float]
    total_seconds: float
    recipe: Recipe
    dry_run: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values, keys as documented in docs/cli.md."""
        return {
            "command": self.command,
            "version": __version__,
            "dry_run": self.dry_run,
            "outputs": [str(path.absolute()) for path in self.outputs],
            "project": str(self.project.absolute()),
            "stages": [self._stage(stage) for stage in self.stages],
            **self.facts,
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "total_seconds": round(self.total_seconds, 3),
            "recipe": self.recipe.as_json(),
        }

    def _stage(self, stage: StageRun) -> dict[str, Any]:
        row = stage.as_json()
        if self.dry_run:
            row["status"] = "would " + row["status"].removesuffix("d")
        return row


def video_facts(
    size: tuple[int, int],
    frames: int | None,
    fps: str,
    duration_s: float | None,
    backend: str,
) -> dict[str, Any]:
    """What is said of a video, see docs/cli.md.

    Args:
        size: width and height in pixels, all views of a strip together.
        frames: number of frames; None while only the sound's end can tell.
        fps: frames per second, a fraction as text.
        duration_s: of the sound, likewise.
        backend: renderer that drew, or would.
    """
    return {
        "frames": frames,
        "fps": fps,
        "width": size[0],
        "height": size[1],
        "duration_s": None if duration_s is None else round(duration_s, 4),
        "backend": backend,
    }


def timing_facts(
    first_frame_s: float | None, total_seconds: float, duration_s: float | None
) -> dict[str, Any]:
    """How fast a video was made; None of it is known in a plan.

    Args:
        first_frame_s: from the start of the run until the encoder got the first frame.
        total_seconds: the whole run.
        duration_s: of the video.
    """
    if first_frame_s is None or not duration_s:
        return {"first_frame_s": None, "real_time_factor": None}
    return {
        "first_frame_s": round(first_frame_s, 3),
        # Seconds of work per second of video; below 1 is faster than real time.
        "real_time_factor": round(total_seconds / duration_s, 3),
    }
