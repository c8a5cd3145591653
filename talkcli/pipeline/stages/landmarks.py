"""The stage that keeps the landmarks of a clip, for commands that judge faces."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkcli.config import Recipe, TrackingConfig
from talkcli.errors import MissingDependencyError
from talkcli.files.check import read_json
from talkcli.pipeline.stages.inputs import Clip
from talkcli.progress import Reporter, Stopwatch
from talkcli.project import Project, ProjectInput, Stage, StageRun, cached_project_root
from talkcli.project.run import Run

if TYPE_CHECKING:
    import numpy as np

    from talkcli.tracking.clip import Seen
    from talkcli.tracking.spool import LandmarkSpool

#: Increased whenever measuring landmarks gives a different result.
LANDMARKS_VERSION = 1
_ABOUT = "clip.json"
#: What ``clip.json`` records about a clip.
_KEYS = ("landmarks", "faces_seen", "turned")
#: The user is warned if the share of frames without a measured face exceeds this.
_MANY_MISSED = 0.02


@dataclass(frozen=True)
class MeasuredClip:
    """A clip and the landmarks of one face in every frame of it.

    Attributes:
        clip: the video file.
        stage: the stage that was run or reused.
        spool: landmarks in pixels of the frames that :meth:`frames` yields, and their times.
        about: ``landmarks`` (network), ``faces_seen`` and ``turned`` (degrees clockwise).
    """

    clip: Clip
    stage: StageRun
    spool: LandmarkSpool
    about: dict[str, Any]

    @property
    def seen(self) -> Seen:
        """How the face was found."""
        from talkcli.tracking.clip import Seen

        return Seen(**self.about)

    @property
    def path(self) -> Path:
        """The video file."""
        return self.clip.path

    def frames(self) -> Generator[np.ndarray, None, None]:
        """``[H, W, 3]`` uint8 frames in the order of the spool, as the landmarks were measured."""
        from talkcli.media.read import read_frames
        from talkcli.tracking.clip import MAX_SIDE
        from talkcli.tracking.upright import turned

        for frame in read_frames(self.clip.path, max_side=MAX_SIDE):
            yield turned(frame.rgb, self.about["turned"])


def landmarks_key(tracking: TrackingConfig) -> dict[str, Any]:
    """What the landmarks of a clip depend on: the face, and the network by its contents.

    Raises:
        MissingDependencyError: the network's file does not exist.
    """
    from talkcli.tracking.follow import landmark_model

    model = landmark_model(tracking.landmarks)
    network = "bundled" if model is None else ProjectInput.of(_existing(model)).sha256
    return {"face": tracking.face, "landmarks": network}


def _existing(model: Path) -> Path:
    if not model.is_file():
        raise MissingDependencyError(
            f"the landmark model {model} does not exist",
            "correct --set tracking.landmarks or TALKCLI_FACE_LANDMARKER, or use the bundled one",
        )
    return model


def landmarks_stage(source: ProjectInput, tracking: TrackingConfig) -> Stage:
    """The stage that measures one face in every frame of a clip."""
    return Stage(
        "landmarks", LANDMARKS_VERSION, landmarks_key(tracking), {"clip": source.sha256}, _check
    )


def measure_clips(
    clips: Sequence[Clip],
    recipe: Recipe,
    reporter: Reporter,
    watch: Stopwatch,
    unwarned: Collection[Path] = (),
) -> list[MeasuredClip]:
    """Measure clips at the same time, each on a core of its own, or reuse them from the cache.

    Args:
        clips: the clips; the same file may be named twice.
        recipe: its ``tracking`` settings apply.
        reporter: is shown one stage for all of them, and warned of what tracking would warn of.
        watch: receives the seconds of ``track``.
        unwarned: clips of which the user is not warned.

    Raises:
        InputError: not a clip, or no face in it.
        MissingDependencyError: the requested landmark network is not available.
    """
    for clip in clips:
        _ = clip.info  # reading it checks the clip
    by_hash = {clip.source.sha256: clip for clip in clips}
    frames = [clip.info.n_frames for clip in by_hash.values()]
    task = reporter.begin("track", sum(frames) if all(frames) else None)

    def measure(clip: Clip) -> StageRun:
        project = Project.create(cached_project_root(clip.source.sha256))
        run = Run(project, recipe, reporter, watch)
        stage = landmarks_stage(clip.source, recipe.tracking)
        with run.lock():
            return project.run(
                stage, lambda place: _measure(clip, recipe.tracking, place, task.advance)
            )

    with watch.measure("track"), ThreadPoolExecutor(max(1, len(by_hash))) as pool:
        entries = dict(zip(by_hash, pool.map(measure, by_hash.values()), strict=True))
    reused = not any(entry.executed for entry in entries.values())
    reporter.end(task, "reused" if reused else "")
    measured = [_load(clip, entries[clip.source.sha256]) for clip in clips]
    for one in measured:
        if one.path in unwarned:
            continue
        missed = 1.0 - one.spool.found / len(one.spool)
        about = {**one.about, "flagged": missed}
        warn_of_faces(one.path, about, recipe.tracking, reporter, "nothing is said of the face")
    return measured


def stored_landmarks(clip: Clip, tracking: TrackingConfig) -> MeasuredClip | None:
    """The landmarks of a clip if an earlier command has left them in the cache."""
    project = Project.plan(cached_project_root(clip.source.sha256))
    entry = project.lookup(landmarks_stage(clip.source, tracking))
    return None if entry is None else _load(clip, entry)


def warn_of_faces(
    path: Path,
    about: Mapping[str, Any],
    tracking: TrackingConfig,
    reporter: Reporter,
    there: str = "it is interpolated",
) -> None:
    """Warn of what makes the face in a clip hard to follow.

    Args:
        path: of the clip.
        about: ``faces_seen``, ``turned``, and ``flagged``, the share of frames without a face.
        tracking: whether the largest face was followed.
        reporter: is warned.
        there: what becomes of the face in frames without one.
    """
    if about["faces_seen"] > 1 and tracking.face == 0:
        reporter.warn(
            f"{path} shows {about['faces_seen']} faces; following the largest "
            "(--set tracking.face=1 selects the next)"
        )
    if about["turned"]:
        way = "upside down" if about["turned"] == 180 else "on its side"
        reporter.warn(
            f"the face in {path} is {way}: its frames were rotated by {about['turned']}° "
            "for tracking"
        )
    if about["flagged"] > _MANY_MISSED:
        reporter.warn(
            f"the face could not be measured in {about['flagged']:.0%} of the frames of "
            f"{path}; there {there}"
        )


def _measure(
    clip: Clip, tracking: TrackingConfig, directory: Path, progress: Callable[[], None]
) -> None:
    from talkcli.tracking.clip import spool_clip
    from talkcli.tracking.spool import LandmarkSpool

    with LandmarkSpool() as spool:
        seen = spool_clip(
            clip.path,
            spool,
            face=tracking.face,
            landmarks=tracking.landmarks,
            progress=progress,
        )
        spool.save(directory)
    about = {key: getattr(seen, key) for key in _KEYS}
    (directory / _ABOUT).write_text(json.dumps(about), encoding="utf-8")


def _load(clip: Clip, entry: StageRun) -> MeasuredClip:
    from talkcli.tracking.spool import LandmarkSpool

    return MeasuredClip(clip, entry, LandmarkSpool.open(entry.path), _about(entry.path))


def _about(directory: Path) -> dict[str, Any]:
    about = read_json(directory / _ABOUT)
    if not isinstance(about, dict) or set(about) != set(_KEYS):
        raise ValueError(f"{_ABOUT} is incomplete")
    if about["turned"] not in (0, 90, 180, 270) or type(about["faces_seen"]) is not int:
        raise ValueError(f"{_ABOUT} says what no clip has")
    return about


def _check(directory: Path) -> None:
    """Refuse what the stage cannot have written.

    Raises:
        ValueError: the files are incomplete or do not belong together.
    """
    from talkcli.tracking.spool import LandmarkSpool

    _about(directory)
    try:
        with LandmarkSpool.open(directory):
            pass
    except OSError as error:
        raise ValueError(str(error)) from error
