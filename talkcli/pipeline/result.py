"""The result of a run, in one form for every command: shown as a table or as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from talkcli import __version__
from talkcli.config import Recipe
from talkcli.pipeline.request import Request
from talkcli.progress import Stopwatch
from talkcli.project import StageRun
from talkcli.project.run import Run
from talkcli.project.trusted import load_trusted, trusted_json


@dataclass(frozen=True)
class Result:
    """What a command made or, with ``dry_run``, would make.

    Attributes:
        command: the name of the command.
        outputs: output files, in the order of the views.
        project: directory that holds the stages.
        stages: the stages that were executed or reused.
        seconds: seconds of each part of the work. The parts of a video overlap, so their sum may
            exceed the total.
        total_seconds: seconds of the whole run.
        recipe: all settings.
        dry_run: whether this is a plan and nothing was made.
        facts: further JSON values specific to the command; a plan has the same keys, with None for
            what only the run can tell.
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

    @staticmethod
    def of(
        request: Request,
        run: Run,
        outputs: tuple[Path, ...],
        stages: tuple[StageRun, ...],
        facts: Mapping[str, Any] | None = None,
    ) -> Result:
        """The result of a run that has done its work; its time ends now.

        Args:
            request: names the command.
            run: what it shared with its stages.
            outputs: see :class:`Result`.
            stages: see :class:`Result`.
            facts: see :class:`Result`.
        """
        return Result(
            command=request.command,
            outputs=outputs,
            project=run.project.root,
            stages=stages,
            seconds=run.watch.seconds,
            total_seconds=run.watch.total(),
            recipe=run.recipe,
            dry_run=run.dry,
            facts=facts or {},
        )

    def as_json(self) -> dict[str, Any]:
        """The result as JSON values, with the keys documented in docs/cli.md."""
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
    """Facts about a video, see docs/cli.md.

    Args:
        size: width and height in pixels, of all views of a strip together.
        frames: number of frames; None if it is unknown until the sound has been read.
        fps: frames per second, as a fraction in a string.
        duration_s: length of the sound in seconds; None likewise.
        backend: the renderer used, or to be used.
    """
    return {
        "frames": frames,
        "fps": fps,
        "width": size[0],
        "height": size[1],
        "duration_s": None if duration_s is None else round(duration_s, 4),
        "backend": backend,
    }


def trusted_facts(stages: tuple[StageRun, ...]) -> dict[str, Any]:
    """From where an avatar is known; null if that was not measured, or in a plan that makes it.

    Args:
        stages: those of the avatar, which is the last.
    """
    return {"trusted": trusted_json(load_trusted(stages[-1].path))}


def timing_facts(watch: Stopwatch, duration_s: float | None) -> dict[str, Any]:
    """How fast a video was made; in a plan every value is None.

    Args:
        watch: of the run.
        duration_s: length of the video in seconds.
    """
    if watch.first_frame_s is None or not duration_s:
        return {"first_frame_s": None, "real_time_factor": None}
    return {
        "first_frame_s": round(watch.first_frame_s, 3),
        # Seconds of work per second of video; below 1 is faster than real time.
        "real_time_factor": round(watch.total() / duration_s, 3),
    }
