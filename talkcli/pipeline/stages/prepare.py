"""The stage that makes a clip ready to fit an avatar to: from a video file to a prepared clip."""

from __future__ import annotations

from dataclasses import dataclass

from talkcli.config import Recipe
from talkcli.errors import InputError
from talkcli.layers.clip import PreparedClip
from talkcli.pipeline.stages.inputs import Clip
from talkcli.pipeline.stages.landmarks import landmarks_key
from talkcli.pipeline.stages.runner import pending
from talkcli.project import ProjectInput, Stage, StageRun
from talkcli.project.run import Run
from talkcli.tracking.segment import parse_segment

#: Increased whenever preparing gives a different result.
PREPARE_VERSION = 3


@dataclass(frozen=True)
class Prepared:
    """A prepared clip in a project.

    Attributes:
        stage: the stage that was run or reused.
        clip: None in a plan if the clip has not been prepared yet.
    """

    stage: StageRun
    clip: PreparedClip | None


def prepare_stage(source: ProjectInput, recipe: Recipe) -> Stage:
    """The stage that prepares one face of a clip.

    Raises:
        UsageError: ``clip.segment`` is no segment.
        MissingDependencyError: the landmark network's file does not exist.
    """
    parse_segment(recipe.clip.segment)
    values = {
        **landmarks_key(recipe.tracking),
        "segment": recipe.clip.segment,
        "speech_model": recipe.motion.speech_model,
    }
    return Stage("prepare", PREPARE_VERSION, values, {"clip": source.sha256}, PreparedClip.load)


def ensure_prepared(run: Run, clip: Clip) -> Prepared:
    """Prepare a clip, or reuse what the project holds.

    Args:
        run: its ``tracking`` and ``clip`` settings and ``motion.speech_model`` apply; ``track``,
            ``crops`` and ``mattes`` are timed.
        clip: the clip.

    Raises:
        UsageError: ``clip.segment`` is no segment.
        InputError: not a clip, or too little of a face in it.
        MissingDependencyError: the requested landmark network is not available.
    """
    _ = clip.info  # reading it checks the clip
    stage = prepare_stage(clip.source, run.recipe)
    if run.dry:
        found = run.project.lookup(stage)
        return Prepared(found or pending(run, stage), _loaded(found))
    from talkcli.pipeline.stages.prepare_work import prepare

    with run.lock():
        recorded = {"seed": run.recipe.seed, "backend": run.recipe.backend}
        entry = run.project.run(stage, lambda place: prepare(run, clip, place), recorded=recorded)
        run.project.set_input("clip", clip.source)
    if not entry.executed:
        run.reporter.end(run.reporter.begin("prepare"), "reused")
    prepared = PreparedClip.load(entry.path)
    _warn(run, clip, prepared)
    return Prepared(entry, prepared)


def _warn(run: Run, clip: Clip, prepared: PreparedClip) -> None:
    faces = prepared.verdict.get("faces_seen", 1)
    if faces > 1 and run.recipe.tracking.face == 0:
        run.reporter.warn(
            f"{clip.path} shows {faces} faces; following the largest (--face 1 selects the next)"
        )
    if prepared.turned:
        run.reporter.warn(
            f"the face in {clip.path} is not upright: its frames were rotated by {prepared.turned}°"
        )


def stored_prepared(run: Run) -> Prepared:
    """The prepared clip in a project and its stage.

    Raises:
        InputError: there is none, or it is damaged.
    """
    entry = run.project.current("prepare", PreparedClip.load)
    if entry is None:
        raise InputError(
            f"{run.project.root} holds no prepared clip",
            f"make one with: talkcli preprocess CLIP -p {run.project.root}",
        )
    return Prepared(entry, _loaded(entry))


def stored_clip(run: Run) -> PreparedClip:
    """The prepared clip in a project.

    Raises:
        InputError: there is none, or it is damaged.
    """
    clip = stored_prepared(run).clip
    assert clip is not None
    return clip


def _loaded(entry: StageRun | None) -> PreparedClip | None:
    return None if entry is None else PreparedClip.load(entry.path)
