"""A film of a face becomes curves: the tracking stage, and the command ``track``."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkcli import __version__
from talkcli.config import Recipe
from talkcli.errors import UsageError
from talkcli.motion.curves import CURVE_SUFFIXES
from talkcli.pipeline.checks import check_film, check_outputs
from talkcli.pipeline.result import stages_as_json
from talkcli.pipeline.stages.track import ensure_track, plan_track
from talkcli.progress import Reporter, SilentReporter, Stopwatch
from talkcli.project import Project, ProjectInput, StageRun, cached_project_root

if TYPE_CHECKING:
    from talkcli.types import MotionCurves


@dataclass(frozen=True)
class TrackRequest:
    """What ``track`` was asked for.

    Attributes:
        clip: film file.
        output: ``.csv`` or ``.npz``; None for a ``.csv`` beside the film.
        project: its directory; None keeps the stage in the user's cache.
        recipe: all settings.
        overwrite: an existing result may be replaced.
        dry_run: check everything, make nothing.
    """

    clip: Path
    output: Path | None
    project: Path | None
    recipe: Recipe
    overwrite: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class TrackResult:
    """What ``track`` made.

    Attributes:
        outputs: the file.
        project: directory that holds the stage.
        stages: what was executed or reused.
        about: what the stage says about the clip; empty in a plan of one that is not there yet.
        seconds: by part of the work.
        total_seconds: the whole command.
        recipe: all settings.
        dry_run: nothing was made.
    """

    outputs: tuple[Path, ...]
    project: Path
    stages: tuple[StageRun, ...]
    about: dict[str, Any]
    seconds: dict[str, float]
    total_seconds: float
    recipe: Recipe
    dry_run: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values, keys as documented in docs/cli.md."""
        clip = {key: value for key, value in self.about.items() if key != "schema"}
        return {
            "command": "track",
            "version": __version__,
            "dry_run": self.dry_run,
            "outputs": [str(path) for path in self.outputs],
            "project": str(self.project),
            "clip": clip,
            "stages": stages_as_json(self.stages, self.dry_run),
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "total_seconds": round(self.total_seconds, 3),
            "recipe": self.recipe.as_json(),
        }


def track(request: TrackRequest, reporter: Reporter | None = None) -> TrackResult:
    """Write the performance of a film as curves.

    Args:
        request: film, output, settings.
        reporter: told about progress and doubts.

    Raises:
        UsageError: an output that is neither .csv nor .npz.
        InputError: no film, no face in it, or an output that cannot be written.
        MissingDependencyError: the landmark network asked for is not there.
    """
    from talkcli.files.output import check_output

    reporter = reporter or SilentReporter()
    watch = Stopwatch()
    check_film(request.clip)
    output = request.output or request.clip.with_suffix(".csv")
    if output.suffix.lower() not in CURVE_SUFFIXES:
        raise UsageError(
            f"curves cannot be written as '{output.suffix}'", "name a .csv or .npz with -o"
        )
    check_outputs(
        (output,), (request.clip,), lambda path: check_output(path, overwrite=request.overwrite)
    )
    root = request.project or cached_project_root(ProjectInput.of(request.clip).sha256)
    about: dict[str, Any] = {}
    if request.dry_run:
        stage = plan_track(root, request.clip, request.recipe)
    else:
        film = ensure_track(Project.create(root), request.clip, request.recipe, reporter, watch)
        stage, about = film.stage, film.about
        with watch.measure("encode"):
            _write(output, film.curves)
    return TrackResult(
        (output,),
        root,
        (stage,),
        about,
        watch.seconds,
        watch.total(),
        request.recipe,
        request.dry_run,
    )


def _write(path: Path, curves: MotionCurves) -> None:
    """Curves at an even whole rate as CSV, or exactly as tracked as NPZ."""
    import numpy as np

    from talkcli.motion.curves import resample, write_csv, write_npz

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".npz":
        write_npz(path, curves)
        return
    # A timecode counts whole frames: 29.97 would drift from it by a frame in half a minute.
    step = float(np.median(np.diff(curves.times))) if len(curves) > 1 else 0.04
    fps = Fraction(max(1, round(1.0 / step)))
    write_csv(path, resample(curves, fps).frames, fps)
