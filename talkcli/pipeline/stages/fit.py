"""The stage that fits an avatar to a prepared clip; its result is the project's avatar."""

from __future__ import annotations

from pathlib import Path

from talkcli.avatar import ClipSource
from talkcli.engines.registry import engine
from talkcli.errors import UsageError
from talkcli.pipeline.stages.avatar import BuiltAvatar
from talkcli.pipeline.stages.prepare import stored_prepared
from talkcli.pipeline.stages.runner import ensure
from talkcli.progress import Task
from talkcli.project import Stage, StageRun
from talkcli.project.run import Run
from talkcli.project.stage import SHORT_KEY, digest_json

#: Settings that limit a fit; fits that differ in nothing else share a checkpoint.
_LIMITS = ("iterations", "minutes", "patience")
#: Folder of the project that holds checkpoints and previews.
WORK = "fit"


def fit_stage(prepared: StageRun, run: Run) -> Stage:
    """The stage that fits an avatar to the clip of a project.

    Raises:
        UsageError: no such engine, or one that makes avatars of one picture.
    """
    maker = engine(run.recipe.engine, "clip")
    if maker.source != "clip":
        raise UsageError(
            f"the engine {maker.name} makes avatars of one picture, not of a clip",
            "choose another one with --set engine=audio-plane",
        )
    values = {"engine": maker.name, **maker.key(run.recipe)}
    return Stage("avatar", maker.version, values, {"clip": prepared.output_hash}, maker.check)


def work_folder(stage: Stage, run: Run) -> Path:
    """Where a fit keeps its checkpoint; longer and shorter fits of the same kind share it."""
    kept = {name: value for name, value in stage.recipe.items() if name not in _LIMITS}
    key = digest_json({"recipe": kept, "version": stage.version, "upstream": stage.upstream})
    return run.project.root / WORK / key[:SHORT_KEY]


def ensure_fit(run: Run, *, resume: bool = False) -> BuiltAvatar:
    """Fit an avatar to the prepared clip of a project, or reuse it.

    A fit that was stopped goes on from its last checkpoint.

    Args:
        run: its ``fit`` settings, seed and renderer apply; ``build`` and ``fit`` are timed.
        resume: go on from a finished fit as well, to a larger number of steps or minutes.

    Raises:
        UsageError: no such engine, or one that makes avatars of one picture.
        InputError: there is no prepared clip, or it has too few usable frames.
    """
    with run.lock():
        prepared = stored_prepared(run)
        stage = fit_stage(prepared.stage, run)
        work = work_folder(stage, run)

        def make(directory: Path, task: Task) -> None:
            source = ClipSource(prepared.stage.path, work, task, resume)
            engine(run.recipe.engine, "clip").make(source, run, directory)

        # With a limit on the time, nobody knows how many steps it allows.
        limits = run.recipe.fit
        steps = None if limits.minutes else limits.iterations
        entry = ensure(run, stage, make, "fit", steps)
    clip = prepared.clip
    size = None if clip is None else (clip.width, clip.height)
    return BuiltAvatar((prepared.stage, entry), size)
