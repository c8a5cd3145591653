"""The tracking stage, which turns a clip of a face into curves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkcli.config import TrackingConfig
from talkcli.files.check import read_json
from talkcli.pipeline.stages.inputs import Clip
from talkcli.pipeline.stages.landmarks import landmarks_key, stored_landmarks, warn_of_faces
from talkcli.pipeline.stages.runner import ensure
from talkcli.progress import Task
from talkcli.project import ProjectInput, Stage, StageRun
from talkcli.project.run import Run

if TYPE_CHECKING:
    from talkcli.types import MotionCurves

#: Increased whenever tracking gives a different result.
TRACK_VERSION = 3
_CURVES, _ABOUT = "curves.npz", "clip.json"
#: What ``clip.json`` records about a clip, besides its schema.
ABOUT_KEYS = ("landmarks", "faces_seen", "frames", "flagged", "turned", "duration_s")


@dataclass(frozen=True)
class TrackedPerformance:
    """The performance in a clip as the project stores it.

    Attributes:
        stage: the stage that was run or reused.
        curves: see :class:`talkcli.tracking.clip.TrackedClip`; None in a plan if the clip has not
            been tracked yet.
        about: ``landmarks`` (network), ``faces_seen``, ``frames``, ``flagged`` (share),
            ``turned`` (degrees clockwise) and ``duration_s``; all None if ``curves`` is None.
    """

    stage: StageRun
    curves: MotionCurves | None
    about: dict[str, Any]


def track_stage(source: ProjectInput, tracking: TrackingConfig) -> Stage:
    """The stage that tracks one face in a clip."""
    values = landmarks_key(tracking)
    return Stage("track", TRACK_VERSION, values, {"clip": source.sha256}, _read)


def ensure_track(run: Run, clip: Clip) -> TrackedPerformance:
    """Track the performance in a clip, or reuse it from the project.

    Args:
        run: its ``tracking`` settings apply, ``track`` is timed, and its reporter is warned of
            several faces and of many missed frames.
        clip: the clip to track; its landmarks are taken from the cache if they are there.

    Raises:
        InputError: not a clip, or no face in it.
        MissingDependencyError: the requested landmark network is not available.
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
    from talkcli.motion.curves import save_npz
    from talkcli.tracking.clip import solve_clip, track_clip

    tracking = run.recipe.tracking
    measured = stored_landmarks(clip, tracking)
    if measured is None:
        tracked = track_clip(
            clip.path, face=tracking.face, landmarks=tracking.landmarks, progress=task.advance
        )
    else:
        with measured.spool as spool:
            tracked = solve_clip(spool, measured.seen)
            task.advance(len(spool))
    about = {
        "schema": 1,
        "landmarks": tracked.landmarks,
        "faces_seen": tracked.faces_seen,
        "frames": len(tracked.curves),
        "flagged": round(tracked.flagged, 4),
        "turned": tracked.turned,
        "duration_s": tracked.curves.duration_s,
    }
    with (directory / _CURVES).open("wb") as file:
        save_npz(file, tracked.curves)
    (directory / _ABOUT).write_text(json.dumps(about), encoding="utf-8")


def _read(directory: Path) -> tuple[dict[str, Any], MotionCurves]:
    """Read what the stage has written.

    Raises:
        InputError: the curves cannot be read.
        ValueError: ``clip.json`` is incomplete or describes other curves.
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
    warn_of_faces(clip.path, about, run.recipe.tracking, run.reporter)
    return TrackedPerformance(entry, curves, about)
