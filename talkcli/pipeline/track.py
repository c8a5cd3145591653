"""A film of a face becomes curves: the tracking stage, and the command ``track``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkcli import __version__
from talkcli.config import Recipe, TrackingConfig
from talkcli.errors import InputError, UsageError
from talkcli.pipeline.outputs import check_outputs
from talkcli.pipeline.result import stages_as_json
from talkcli.progress import Reporter, SilentReporter, Stopwatch
from talkcli.project import Project, ProjectInput, Stage, StageRun, cached_project_root
from talkcli.project.store import PROJECT_FILE

if TYPE_CHECKING:
    from talkcli.types import MotionCurves

#: Raise it whenever tracking gives another result.
TRACK_VERSION = 2
CURVE_SUFFIXES = (".csv", ".npz")
_CURVES, _ABOUT = "curves.npz", "clip.json"
#: Above this share of frames without a measured face the user is told.
_MANY_FLAGGED = 0.02


@dataclass(frozen=True)
class TrackedFilm:
    """A film's performance as the project stores it.

    Attributes:
        curves: see :class:`talkcli.tracking.clip.TrackedClip`.
        stage: what was run or reused.
        about: ``landmarks`` (network), ``faces_seen``, ``frames``, ``flagged`` (share), and
            ``duration_s``.
    """

    curves: MotionCurves
    stage: StageRun
    about: dict[str, Any]


def track_stage(source: ProjectInput, tracking: TrackingConfig) -> Stage:
    """The performance of one face in a film."""
    from talkcli.tracking.follow import landmark_model

    model = landmark_model(tracking.landmarks)
    values = {
        "face": tracking.face,
        "landmarks": "bundled" if model is None else ProjectInput.of(_existing(model)).sha256,
    }
    return Stage("track", TRACK_VERSION, values, {"clip": source.sha256})


def ensure_track(
    project: Project, clip: Path, recipe: Recipe, reporter: Reporter, watch: Stopwatch
) -> TrackedFilm:
    """The performance in a film, tracked now or reused from the project.

    Args:
        project: holds or receives the stage.
        clip: film file.
        recipe: ``tracking`` is read.
        reporter: told about progress, several faces and many missed frames.
        watch: gets the seconds of ``track``.

    Raises:
        InputError: not a film, or no face in it.
        MissingDependencyError: the landmark network asked for is not there.
    """
    with watch.measure("track"), project.lock(on_wait=reporter.warn):
        stage = track_stage(ProjectInput.of(clip), recipe.tracking)
        task = reporter.begin("track", _frames_of(clip))

        def work(directory: Path) -> None:
            from talkcli.motion.curves import write_npz
            from talkcli.tracking.clip import track_film

            tracked = track_film(
                clip,
                face=recipe.tracking.face,
                landmarks=recipe.tracking.landmarks,
                progress=task.advance,
            )
            about = {
                "schema": 1,
                "landmarks": tracked.landmarks,
                "faces_seen": tracked.faces_seen,
                "frames": len(tracked.curves),
                "flagged": round(tracked.flagged, 4),
                "duration_s": tracked.curves.duration_s,
            }
            write_npz(directory / _CURVES, tracked.curves)
            (directory / _ABOUT).write_text(json.dumps(about), encoding="utf-8")

        run = project.run(stage, work)
        reporter.end(task, "" if run.executed else "reused")
    return _load(run, clip, recipe, reporter)


def _load(run: StageRun, clip: Path, recipe: Recipe, reporter: Reporter) -> TrackedFilm:
    from talkcli.motion.curves import read_npz

    about = json.loads((run.path / _ABOUT).read_text(encoding="utf-8"))
    if about["faces_seen"] > 1 and recipe.tracking.face == 0:
        reporter.warn(
            f"{clip} shows {about['faces_seen']} faces; following the largest, "
            "--set tracking.face=1 takes the next"
        )
    if about["flagged"] > _MANY_FLAGGED:
        reporter.warn(
            f"in {about['flagged']:.0%} of the frames of {clip} the face could not be measured; "
            "they are filled in from the others"
        )
    return TrackedFilm(read_npz(run.path / _CURVES), run, about)


def plan_track(root: Path, clip: Path, recipe: Recipe) -> StageRun:
    """The stage that :func:`ensure_track` would run or reuse, without running or writing it."""
    project = Project.open(root) if (root / PROJECT_FILE).is_file() else Project(root, {})
    stage = track_stage(ProjectInput.of(clip), recipe.tracking)
    return project.lookup(stage) or StageRun(
        stage.name, stage.key, root / stage.name, True, 0.0, ""
    )


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
    from talkcli.media.output import check_output

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


def check_film(path: Path) -> None:
    """Refuse what is no film of a face before any work is done for it.

    Raises:
        InputError: missing, empty, a picture, sound alone, or unreadable.
    """
    from talkcli.media.read import probe

    info = probe(path)
    if not info.has_video:
        raise InputError(f"{path} has no picture in it, only sound", "give a video of a face")


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


def _frames_of(clip: Path) -> int | None:
    from talkcli.media.read import probe

    return probe(clip).n_frames or None


def _existing(model: Path) -> Path:
    from talkcli.errors import MissingDependencyError

    if not model.is_file():
        raise MissingDependencyError(
            f"the landmark model {model} does not exist",
            "correct --set tracking.landmarks or TALKCLI_FACE_LANDMARKER, or use bundled",
        )
    return model
