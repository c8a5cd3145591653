"""What a run answers: for people as a table, for programs as JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from talkcli import __version__
from talkcli.config import Recipe
from talkcli.project import StageRun


@dataclass(frozen=True)
class VideoResult:
    """A finished film, or with ``dry_run`` the plan of one.

    Attributes:
        command: the command that made it.
        outputs: files, in the order of the views.
        project: directory that holds the avatar.
        frames: number of frames.
        fps: frames per second.
        width: pixels of the whole picture, all views of a strip together; 0 in a plan.
        height: pixels; 0 in a plan.
        duration_s: of the sound.
        stages: what was executed and what was reused.
        seconds: by part of the work. The parts of a film overlap, and together may take longer
            than the whole.
        total_seconds: the whole command.
        first_frame_s: from the start of the process until the encoder got the first frame.
        backend: renderer that drew, in a plan the one that was asked for.
        recipe: all settings.
        dry_run: nothing was made.
    """

    command: str
    outputs: tuple[Path, ...]
    project: Path
    frames: int
    fps: Fraction
    width: int
    height: int
    duration_s: float
    stages: tuple[StageRun, ...]
    seconds: dict[str, float]
    total_seconds: float
    first_frame_s: float | None
    backend: str
    recipe: Recipe
    dry_run: bool = False

    @property
    def real_time_factor(self) -> float:
        """Seconds of work per second of film; below 1 is faster than real time."""
        return self.total_seconds / self.duration_s if self.duration_s else 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain values, keys as documented in docs/cli.md."""
        return {
            "command": self.command,
            "version": __version__,
            "dry_run": self.dry_run,
            "outputs": [str(path) for path in self.outputs],
            "project": str(self.project),
            "frames": self.frames,
            "fps": str(self.fps),
            "width": self.width,
            "height": self.height,
            "duration_s": round(self.duration_s, 4),
            "stages": stages_as_json(self.stages, self.dry_run),
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "total_seconds": round(self.total_seconds, 3),
            "real_time_factor": round(self.real_time_factor, 3),
            "first_frame_s": None if self.first_frame_s is None else round(self.first_frame_s, 3),
            "peak_memory_mb": peak_memory_mb(),
            "backend": self.backend,
            "recipe": self.recipe.as_json(),
        }


def stages_as_json(stages: Sequence[StageRun], dry_run: bool) -> list[dict[str, Any]]:
    """Stages with what was done, or with what would be."""
    rows = [stage.as_json() for stage in stages]
    if dry_run:
        for row in rows:
            row["status"] = "would " + row["status"].removesuffix("d")
    return rows


def peak_memory_mb() -> float | None:
    """Largest resident size of this process so far in MB; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    linux = Path("/proc/self/status")
    for line in linux.read_text(encoding="utf-8").splitlines() if linux.is_file() else ():
        # What getrusage tells there includes the parent at the time it started this process.
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) * 1024 / 1e6, 1)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KB, macOS in bytes.
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)
