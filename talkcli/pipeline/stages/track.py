"""The tracking stage: a clip of a face becomes curves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkcli.config import Recipe, TrackingConfig
from talkcli.errors import MissingDependencyError
from talkcli.files.check import read_json
from talkcli.progress import Reporter, Stopwatch
from talkcli.project import Project, ProjectInput, Stage, StageRun
from talkcli.project.store import PROJECT_FILE

if TYPE_CHECKING:
    from talkcli.types import MotionCurves


#: Raise it whenever tracking gives another result.
TRACK_VERSION = 3


_CURVES, _ABOUT = "curves.npz", "clip.json"


#: Above this share of frames without a measured face the user is told.
_MANY_FLAGGED = 0.02


@dataclass(frozen=True)
class TrackedFilm:
    """A film's performance as the project stores it.

    Attributes:
        curves: see :class:`talkcli.tracking.clip.TrackedClip`.
        stage: what was run or reused.
        about: ``landmarks`` (network), ``faces_seen``, ``frames``, ``flagged`` (share),
            ``turned`` (degrees clockwise) and ``duration_s``.
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
    return Stage("track", TRACK_VERSION, values, {"clip": source.sha256}, _read)


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
            from talkcli.tracking.clip import track_clip

            tracked = track_clip(
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
                "turned": tracked.turned,
                "duration_s": tracked.curves.duration_s,
            }
            write_npz(directory / _CURVES, tracked.curves)
            (directory / _ABOUT).write_text(json.dumps(about), encoding="utf-8")

        run = project.run(stage, work)
        reporter.end(task, "" if run.executed else "reused")
    return _load(run, clip, recipe, reporter)


def _read(directory: Path) -> tuple[dict[str, Any], MotionCurves]:
    """What the stage has written.

    Raises:
        InputError: the curves are none.
        ValueError: the notes about the clip are none, or belong to other curves.
    """
    from talkcli.motion.curves import read_npz

    curves = read_npz(directory / _CURVES)
    about = read_json(directory / _ABOUT)
    counts = ("schema", "faces_seen", "frames")
    if not isinstance(about, dict) or not all(type(about.get(name)) is int for name in counts):
        raise ValueError(f"{_ABOUT} is incomplete")
    numbers = [about.get("flagged"), about.get("duration_s")]
    if not all(type(number) in (int, float) for number in numbers):
        raise ValueError(f"{_ABOUT} is incomplete")
    if about["frames"] != len(curves) or not isinstance(about.get("landmarks"), str):
        raise ValueError(f"{_ABOUT} is not about these curves")
    return about, curves


def _load(run: StageRun, clip: Path, recipe: Recipe, reporter: Reporter) -> TrackedFilm:
    about, curves = _read(run.path)
    if about["faces_seen"] > 1 and recipe.tracking.face == 0:
        reporter.warn(
            f"{clip} shows {about['faces_seen']} faces; following the largest, "
            "--set tracking.face=1 takes the next"
        )
    if about["turned"]:
        way = "upside down" if about["turned"] == 180 else "on its side"
        reporter.warn(
            f"the face in {clip} is {way}; tracked with its frames turned by {about['turned']}°"
        )
    if about["flagged"] > _MANY_FLAGGED:
        reporter.warn(
            f"in {about['flagged']:.0%} of the frames of {clip} the face could not be measured; "
            "they are filled in from the others"
        )
    return TrackedFilm(curves, run, about)


def plan_track(root: Path, clip: Path, recipe: Recipe) -> StageRun:
    """The stage that :func:`ensure_track` would run or reuse, without running or writing it."""
    project = Project.open(root) if (root / PROJECT_FILE).is_file() else Project(root, {})
    stage = track_stage(ProjectInput.of(clip), recipe.tracking)
    return project.lookup(stage) or StageRun(
        stage.name, stage.key, root / stage.name, True, 0.0, ""
    )


def _frames_of(clip: Path) -> int | None:
    from talkcli.media.read import probe

    return probe(clip).n_frames or None


def _existing(model: Path) -> Path:

    if not model.is_file():
        raise MissingDependencyError(
            f"the landmark model {model} does not exist",
            "correct --set tracking.landmarks or TALKCLI_FACE_LANDMARKER, or use bundled",
        )
    return model
