"""Speech or another face, and an avatar, become a film, frame by frame, in constant memory."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from talkcli.config import TRANSPARENT, Recipe
from talkcli.errors import InputError
from talkcli.pipeline.checks import (
    check_files,
    check_movers,
    check_outputs,
    check_scene,
    plan_tracks,
    view_paths,
)
from talkcli.pipeline.result import VideoResult
from talkcli.pipeline.stages.avatar import BuiltAvatar, ensure_avatar, plan_avatar, stored_avatar
from talkcli.pipeline.video.performance import Movers, Performance
from talkcli.pipeline.video.scene import Scene
from talkcli.pipeline.video.shoot import FilmTarget, write_film
from talkcli.pipeline.video.views import plan_yaws
from talkcli.progress import Reporter, SilentReporter, Stopwatch
from talkcli.project import Project, ProjectInput, cached_project_root


@dataclass(frozen=True)
class VideoRequest:
    """What ``animate`` and ``drive`` were asked for.

    Attributes:
        command: ``animate`` or ``drive``.
        portrait: picture file; None takes the avatar that the project holds.
        movers: speech, driver, pose.
        project: its directory; None keeps the avatar in the user's cache.
        output: the film; None puts it beside the input.
        recipe: all settings.
        overwrite: an existing film may be replaced.
        dry_run: check everything, make nothing.
    """

    command: str
    portrait: Path | None
    movers: Movers
    project: Path | None
    output: Path | None
    recipe: Recipe
    overwrite: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class _Plan:
    """What is settled before any work; the length of a film to be tracked is an estimate."""

    outputs: tuple[Path, ...]
    fps: Fraction
    duration_s: float


def animate(request: VideoRequest, reporter: Reporter | None = None) -> VideoResult:
    """Make a film in which the portrait speaks, or does what another face does.

    Everything that can be refused is refused before any work; nothing is left behind when the
    film is not finished, except stages of the avatar, which the next run reuses.

    Args:
        request: inputs, output, settings.
        reporter: told about progress and doubts.

    Raises:
        UsageError: settings that contradict each other.
        InputError: an input that cannot be used, or an output that cannot be written.
        MissingDependencyError: the back-end asked for is not there.
    """
    from talkcli.media.write import frame_count

    reporter = reporter or SilentReporter()
    watch = Stopwatch()
    with watch.measure("load"):
        plan = _plan(request)
        root = _project_root(request)
    if request.dry_run:
        stages = plan_avatar(root, request.portrait, request.recipe, reporter)
        stages += plan_tracks(root, request.movers, request.recipe)
        made = _Made((0, 0), request.recipe.backend, plan.duration_s)
    else:
        # Tracking comes first: a driver without a face should not cost the building of an avatar.
        project = Project.create(root) if request.portrait is not None else Project.open(root)
        performance = Performance(request.movers, project, request.recipe, reporter, watch)
        avatar = _avatar(request, root, reporter, watch)
        stages = avatar.stages + performance.stages
        made = _film(request, plan, avatar, performance, reporter, watch)
    return VideoResult(
        command=request.command,
        outputs=plan.outputs,
        project=root,
        frames=frame_count(made.duration_s, plan.fps),
        fps=plan.fps,
        width=made.size[0],
        height=made.size[1],
        duration_s=made.duration_s,
        stages=stages,
        seconds=watch.seconds,
        total_seconds=watch.total(),
        first_frame_s=watch.first_frame_s,
        backend=made.backend,
        recipe=request.recipe,
        dry_run=request.dry_run,
    )


@dataclass(frozen=True)
class _Made:
    """A film's size, renderer and exact length."""

    size: tuple[int, int]
    backend: str
    duration_s: float


def _plan(request: VideoRequest) -> _Plan:
    from talkcli.files.check import check_readable
    from talkcli.media.write import check_target, parse_fps

    video, movers = request.recipe.video, request.movers
    fps = parse_fps(video.fps)
    inputs = check_files(movers)
    if request.portrait is not None:
        inputs.append(check_readable(request.portrait, "a picture"))
    check_scene(video, request.recipe.backend)
    output = request.output or _default_output(request)
    outputs = view_paths(output, plan_yaws(video, 1.0)(0.0), video.layout)
    alpha = video.bg == TRANSPARENT

    def check(path: Path) -> None:
        check_target(path, overwrite=request.overwrite, alpha=alpha)

    check_outputs(outputs, inputs, check)
    return _Plan(outputs, fps, check_movers(movers))


def _default_output(request: VideoRequest) -> Path:
    """``portrait_speech.mp4`` beside the portrait; with a project, beside what moves it."""
    movers = request.movers
    suffix = ".mov" if request.recipe.video.bg == TRANSPARENT else ".mp4"
    if request.portrait is not None:
        return request.portrait.with_name(f"{request.portrait.stem}_{movers.title}{suffix}")
    assert request.project is not None
    beside = movers.speech or movers.faces[0]
    return beside.with_name(f"{request.project.resolve().stem}_{movers.title}{suffix}")


def _project_root(request: VideoRequest) -> Path:
    if request.project is not None:
        return request.project
    if request.portrait is None:
        raise InputError("neither a portrait nor a project was given", "add -p PROJECT")
    return cached_project_root(ProjectInput.of(request.portrait).sha256)


def _avatar(request: VideoRequest, root: Path, reporter: Reporter, watch: Stopwatch) -> BuiltAvatar:
    if request.portrait is None:
        return stored_avatar(Project.open(root), request.recipe, reporter, watch)
    return ensure_avatar(Project.create(root), request.portrait, request.recipe, reporter, watch)


def _film(
    request: VideoRequest,
    plan: _Plan,
    avatar: BuiltAvatar,
    performance: Performance,
    reporter: Reporter,
    watch: Stopwatch,
) -> _Made:
    """Render and encode every frame."""
    from talkcli.media.write import frame_count

    recipe, sound = request.recipe, performance.sound
    scene = Scene(avatar.path, recipe.video, recipe.backend, watch)
    frames = frame_count(sound.duration_s, plan.fps)
    target = FilmTarget(
        plan.outputs, plan.fps, frames, sound.duration_s, sound.file, request.overwrite
    )
    motions = performance.frames(frames, plan.fps)
    size = write_film(target, scene, motions, recipe.video, reporter, watch)
    if performance.silent:
        reporter.warn(f"{request.movers.speech} is silent: the mouth stays shut")
    return _Made(size, scene.backend, sound.duration_s)
