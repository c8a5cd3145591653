"""Speech and an avatar become a film, frame by frame, in memory that does not grow with it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from talkcli.config import TRANSPARENT, Recipe
from talkcli.errors import InputError
from talkcli.pipeline.camera import plan_yaws
from talkcli.pipeline.outputs import check_outputs, view_paths
from talkcli.pipeline.result import VideoResult
from talkcli.pipeline.scene import Scene, check_scene
from talkcli.pipeline.shoot import FilmTarget, write_film
from talkcli.pipeline.speech import RATE_HZ, Loudness, shift
from talkcli.pipeline.stages import BuiltAvatar, ensure_avatar, plan_avatar, stored_avatar
from talkcli.progress import Reporter, SilentReporter, Stopwatch
from talkcli.project import Project, ProjectInput, cached_project_root


@dataclass(frozen=True)
class VideoRequest:
    """What ``animate`` and ``drive`` were asked for.

    Attributes:
        command: ``animate`` or ``drive``.
        portrait: picture file; None takes the avatar that the project holds.
        speech: any file with sound.
        project: its directory; None keeps the avatar in the user's cache.
        output: the film; None puts it beside the input.
        recipe: all settings.
        overwrite: an existing film may be replaced.
        dry_run: check everything, make nothing.
    """

    command: str
    portrait: Path | None
    speech: Path
    project: Path | None
    output: Path | None
    recipe: Recipe
    overwrite: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class _Plan:
    """What is settled before any work."""

    outputs: tuple[Path, ...]
    fps: Fraction
    frames: int
    duration_s: float


def animate(request: VideoRequest, reporter: Reporter | None = None) -> VideoResult:
    """Make a film in which the portrait speaks.

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
    reporter = reporter or SilentReporter()
    watch = Stopwatch()
    with watch.measure("load"):
        plan = _plan(request)
        root = _project_root(request)
    if request.dry_run:
        stages = plan_avatar(root, request.portrait, request.recipe, reporter)
        size, backend = (0, 0), request.recipe.backend
    else:
        avatar = _avatar(request, root, reporter, watch)
        stages = avatar.stages
        size, backend = _film(request, plan, avatar, reporter, watch)
    return VideoResult(
        command=request.command,
        outputs=plan.outputs,
        project=root,
        frames=plan.frames,
        fps=plan.fps,
        width=size[0],
        height=size[1],
        duration_s=plan.duration_s,
        stages=stages,
        seconds=watch.seconds,
        total_seconds=watch.total(),
        first_frame_s=watch.first_frame_s,
        backend=backend,
        recipe=request.recipe,
        dry_run=request.dry_run,
    )


def _plan(request: VideoRequest) -> _Plan:
    from talkcli.media.audio import probe_audio
    from talkcli.media.check import check_readable
    from talkcli.media.write import check_target, frame_count, parse_fps

    video = request.recipe.video
    fps = parse_fps(video.fps)
    inputs = [request.speech]
    if request.portrait is not None:
        inputs.append(check_readable(request.portrait, "a picture"))
    check_readable(request.speech, "a recording")
    check_scene(video, request.recipe.backend)
    output = request.output or _default_output(request)
    outputs = view_paths(output, plan_yaws(video, 1.0)(0.0), video.layout)
    alpha = video.bg == TRANSPARENT

    def check(path: Path) -> None:
        check_target(path, overwrite=request.overwrite, alpha=alpha)

    check_outputs(outputs, inputs, check)
    duration_s = probe_audio(request.speech).duration_s
    return _Plan(outputs, fps, frame_count(duration_s, fps), duration_s)


def _default_output(request: VideoRequest) -> Path:
    """``portrait_speech.mp4`` beside the portrait; with a project, beside the speech."""
    speech = request.speech
    suffix = ".mov" if request.recipe.video.bg == TRANSPARENT else ".mp4"
    if request.portrait is not None:
        return request.portrait.with_name(f"{request.portrait.stem}_{speech.stem}{suffix}")
    assert request.project is not None
    return speech.with_name(f"{request.project.resolve().stem}_{speech.stem}{suffix}")


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
    request: VideoRequest, plan: _Plan, avatar: BuiltAvatar, reporter: Reporter, watch: Stopwatch
) -> tuple[tuple[int, int], str]:
    """Render and encode every frame; returns width and height of one film, and the renderer."""
    from talkcli.media.audio import stream_pcm
    from talkcli.motion import motion_frames

    recipe = request.recipe
    scene = Scene(avatar.path, recipe.video, recipe.backend, watch)
    loudness = Loudness()
    sound = shift(
        loudness.listen(stream_pcm(request.speech, RATE_HZ)), recipe.motion.sync_offset_ms
    )
    motions = motion_frames(sound, plan.frames, plan.fps, _motion_options(recipe), recipe.seed)
    target = FilmTarget(
        plan.outputs, plan.fps, plan.frames, plan.duration_s, request.speech, request.overwrite
    )
    size = write_film(target, scene, motions, recipe.video, reporter, watch)
    if loudness.silent:
        reporter.warn(f"{request.speech} is silent: the mouth stays shut")
    return size, scene.backend


def _motion_options(recipe: Recipe) -> Any:
    from talkcli.motion import MotionOptions

    motion = recipe.motion
    return MotionOptions(
        head_motion=motion.head_motion,
        still=motion.still,
        blink_rate=motion.blink_rate,
        lip_strength=motion.lip_strength,
    )
