"""The tracking stage: a clip of a face becomes curves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkcli.config import TrackingConfig
from talkcli.errors import MissingDependencyError
from talkcli.files.check import read_json
from talkcli.pipeline.stages.inputs import Clip
from talkcli.pipeline.stages.runner import ensure
from talkcli.progress import Task
from talkcli.project import ProjectInput, Stage, StageRun
from talkcli.project.run import Run

if TYPE_CHECKING:
    from talkcli.types import MotionCurves

#: Raise it whenever tracking gives another result.
TRACK_VERSION = 3
_CURVES, _ABOUT = "curves.npz", "clip.json"
#: What ``clip.json`` says of a clip, beside its schema.
ABOUT_KEYS = ("landmarks", "faces_seen", "frames", "flagged", "turned", "duration_s")
#: Above this share of frames without a measured face the user is told.
_MANY_FLAGGED = 0.02


@dataclass(frozen=True)
class TrackedPerformance:
    """A clip's performance as the project stores it.

    Attributes:
        stage: what was run or reused.
        curves: see :class:`talkcli.tracking.clip.TrackedClip`; None in a plan of a clip that is
            not tracked yet.
        about: ``landmarks`` (network), ``faces_seen``, ``frames``, ``flagged`` (share),
            ``turned`` (degrees clockwise) and ``duration_s``; None each where ``curves`` is.
    """

    stage: StageRun
    curves: MotionCurves | None
    about: dict[str, Any]


def track_stage(source: ProjectInput, tracking: TrackingConfig) -> Stage:
    """The performance of one face in a clip."""
    from talkcli.tracking.follow import landmark_model

    model = landmark_model(tracking.landmarks)
    values = {
        "face": tracking.face,
        "landmarks": "bundled" if model is None else ProjectInput.of(_existing(model)).sha256,
    }
    return Stage("track", TRACK_VERSION, values, {"clip": source.sha256}, _read)


def ensure_track(run: Run, clip: Clip) -> TrackedPerformance:
    """The performance in a clip, tracked now or reused from the project.

    Args:
        run: ``tracking`` is read and ``track`` timed; several faces and many missed frames are
            warned of.
        clip: the file.

    Raises:
        InputError: not a clip, or no face in it.
        MissingDependencyError: the landmark network asked for is not there.
    """
    with run.watch.measure("track"), run.lock():
        stage = track_stage(clip.source, run.recipe.tracking)
        entry = ensure(
            run,
            stage,
            lambda place, task: _track(run, clip, place, task),
            "track",
            clip.info.n_frames or None,
        )
    if run.dry and entry.executed:
        return TrackedPerformance(entry, None, dict.fromkeys(ABOUT_KEYS))
    return _load(entry, clip, run)


def _track(run: Run, clip: Clip, directory: Path, task: Task) -> None:
    from talkcli.motion.curves import write_npz
    from talkcli.tracking.clip import track_clip

    tracking = run.recipe.tracking
    tracked = track_clip(
        clip.path, face=tracking.face, landmarks=tracking.landmarks, progress=task.advance
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


def _read(directory: Path) -> tuple[dict[str, Any], MotionCurves]:
    """What the stage has written.

    Raises:
        InputError: the curves are none.
        ValueError: the notes about the clip are none, or belong to other curves.
    """
    from talkcli.motion.curves import read_npz

    curves = read_npz(directory / _CURVES)
    about = read_json(directory / _ABOUT)
    counts = ("schema", "faces_seen", "frames", "turned")
    if not isinstance(about, dict) or not all(type(about.get(name)) is int for name in counts):
        raise ValueError(f"{_ABOUT} is incomplete")
    numbers = [about.get("flagged"), about.get("duration_s")]
    if not all(type(number) in (int, float) for number in numbers):
        raise ValueError(f"{_ABOUT} is incomplete")
    if about["frames"] != len(curves) or not isinstance(about.get("landmarks"), str):
        raise ValueError(f"{_ABOUT} is not about these curves")
    return {key: about[key] for key in ABOUT_KEYS}, curves


def _load(entry: StageRun, clip: Clip, run: Run) -> TrackedPerformance:
    about, curves = _read(entry.path)
    if about["faces_seen"] > 1 and run.recipe.tracking.face == 0:
        run.reporter.warn(
            f"{clip.path} shows {about['faces_seen']} faces; following the largest, "
            "--set tracking.face=1 takes the next"
        )
    if about["turned"]:
        way = "upside down" if about["turned"] == 180 else "on its side"
        run.reporter.warn(
            f"the face in {clip.path} is {way}; tracked with its frames turned by "
            f"{about['turned']}°"
        )
    if about["flagged"] > _MANY_FLAGGED:
        run.reporter.warn(
            f"in {about['flagged']:.0%} of the frames of {clip.path} the face could not be "
            "measured; they are filled in from the others"
        )
    return TrackedPerformance(entry, curves, about)


def _existing(model: Path) -> Path:
    if not model.is_file():
        raise MissingDependencyError(
            f"the landmark model {model} does not exist",
            "correct --set tracking.landmarks or TALKCLI_FACE_LANDMARKER, or use bundled",
        )
    return model
