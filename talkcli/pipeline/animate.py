"""Turn speech or another face, and an avatar, into a video, frame by frame in constant memory."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from talkcli.config import TRANSPARENT
from talkcli.errors import InputError
from talkcli.pipeline.checks import (
    background_files,
    check_outputs,
    check_scene,
    check_width,
    view_paths,
)
from talkcli.pipeline.request import Request
from talkcli.pipeline.result import Result, timing_facts, trusted_facts, video_facts
from talkcli.pipeline.stages.avatar import BuiltAvatar, ensure_avatar, stored_avatar
from talkcli.pipeline.stages.inputs import DriveInputs, Picture
from talkcli.pipeline.stages.kernels import ensure_kernels
from talkcli.pipeline.video.performance import MotionMix, portrait_hash
from talkcli.pipeline.video.scene import AvatarPlayer
from talkcli.pipeline.video.shoot import VideoTarget, render_video
from talkcli.pipeline.video.views import plan_views, warn_of_unseen
from talkcli.progress import Reporter, Stopwatch
from talkcli.project import Project, cached_project_root
from talkcli.project.run import Run


@dataclass(frozen=True)
class _Target:
    """What is decided before any work.

    Attributes:
        outputs: files that will be written.
        fps: frames per second.
        backend: the renderer that will be used.
        views: number of views side by side in one file.
    """

    outputs: tuple[Path, ...]
    fps: Fraction
    backend: str
    views: int


def animate(
    request: Request,
    inputs: DriveInputs,
    portrait: Path | None,
    reporter: Reporter,
    watch: Stopwatch,
) -> Result:
    """Make a video in which a head speaks, or follows another face.

    Whatever can be rejected is rejected before any work starts. An unfinished video leaves nothing
    behind except stages of the avatar, which the next run reuses. A dry run takes the same steps
    and stops before the first frame.

    Args:
        request: project, output and settings.
        inputs: the files that move the head.
        portrait: picture file; None uses the avatar in the project.
        reporter: receives progress and warnings.
        watch: receives the seconds of every part of the work.

    Raises:
        UsageError: settings that contradict each other.
        InputError: an input that cannot be used, or an output that cannot be written.
        MissingDependencyError: the requested back-end is not available.
    """
    with closing(inputs):
        return _animate(request, inputs, portrait, reporter, watch)


def _animate(
    request: Request,
    inputs: DriveInputs,
    portrait: Path | None,
    reporter: Reporter,
    watch: Stopwatch,
) -> Result:
    from talkcli.compose.blend import output_size
    from talkcli.media.write import frame_count

    picture = None if portrait is None else Picture(portrait)
    with watch.measure("load"):
        target = _target(request, inputs, picture)
        run = _begin(request, picture, reporter, watch)
    if not request.dry_run:
        ensure_kernels(reporter, watch)
    # Tracking comes first: a driver without a face should not cost the time to build an avatar.
    mix = MotionMix(inputs, run)
    avatar = stored_avatar(run) if picture is None else ensure_avatar(run, picture)
    width, height = output_size(*avatar.size, request.recipe.video.size or None)
    check_width(target.views, width)
    # A camera path is spread over the whole video.
    known = request.dry_run or request.recipe.video.camera_path != "none"
    duration_s = mix.measure() if known else mix.duration_s
    if not request.dry_run:
        _render(request, target, avatar, mix, run, duration_s)
        duration_s = mix.duration_s
    assert duration_s is not None
    facts = video_facts(
        (target.views * width, height),
        frame_count(duration_s, target.fps),
        str(target.fps),
        duration_s,
        target.backend,
    )
    facts |= timing_facts(watch, duration_s) | trusted_facts(avatar.stages)
    facts["sound_files"] = _sound_files(request, target, mix)
    stages = mix.stages + avatar.stages if picture is None else avatar.stages + mix.stages
    return Result.of(request, run, target.outputs, stages, facts)


def _sound_files(request: Request, target: _Target, mix: MotionMix) -> list[str]:
    """Paths of the sound beside frames, one for each output, or none."""
    from talkcli.files.output import SOUND_FILE

    if not request.recipe.video.with_sound or mix.heard.sound is None:
        return []
    return [str(path.absolute() / SOUND_FILE) for path in target.outputs]


def _target(request: Request, inputs: DriveInputs, picture: Picture | None) -> _Target:
    from talkcli.media.write import check_target, parse_fps

    video = request.recipe.video
    fps = parse_fps(video.fps)
    files = inputs.check()
    if picture is not None:
        picture.check()
        files.append(picture.path)
    files += background_files(video.bg)
    backend = check_scene(video, request.recipe.backend)
    views = plan_views(video, 1.0)(0.0)
    outputs = view_paths(request.output or _default_output(request, inputs, picture), views,
                         video.layout)  # fmt: skip
    alpha = video.bg == TRANSPARENT

    def check(path: Path) -> None:
        check_target(path, overwrite=request.overwrite, alpha=alpha, sound_file=video.with_sound)

    check_outputs(outputs, files, check)
    if inputs.speech is not None:
        # Rejected here rather than after the avatar is built.
        _ = inputs.sound
    return _Target(outputs, fps, backend, len(views) // len(outputs))


def _default_output(request: Request, inputs: DriveInputs, picture: Picture | None) -> Path:
    """``portrait_speech.mp4`` beside the portrait or, with a project, beside the leading input."""
    suffix = ".mov" if request.recipe.video.bg == TRANSPARENT else ".mp4"
    title = inputs.leading.stem
    if picture is not None:
        return picture.path.with_name(f"{picture.path.stem}_{title}{suffix}")
    assert request.project is not None
    return inputs.leading.with_name(f"{request.project.resolve().stem}_{title}{suffix}")


def _begin(request: Request, picture: Picture | None, reporter: Reporter, watch: Stopwatch) -> Run:
    if picture is None:
        if request.project is None:
            raise InputError("neither a portrait nor a project was given", "add -p PROJECT")
        project = Project.open(request.project)
        return Run(project, request.recipe, reporter, watch, request.dry_run)
    root = request.project or cached_project_root(picture.source.sha256)
    return request.begin(root, reporter, watch)


def _render(
    request: Request,
    target: _Target,
    avatar: BuiltAvatar,
    mix: MotionMix,
    run: Run,
    duration_s: float | None,
) -> None:
    """Render and encode every frame."""
    from talkcli.media.write import is_folder

    recipe, heard = request.recipe, mix.heard
    with run.watch.measure("load"):
        model = avatar.avatar.playback()
    warn_of_unseen(model.info, recipe.video, run.reporter)
    still_body = recipe.motion.still_body
    player = AvatarPlayer(model, recipe.video, recipe.backend, run.watch, still_body=still_body)
    video = VideoTarget(
        target.outputs, target.fps, duration_s, heard.sound, heard.start_s, request.overwrite
    )
    motion = mix.frames(target.fps, portrait_hash(run.project), model.info)
    render_video(video, player, motion, run)
    if recipe.video.with_sound and heard.sound is None:
        run.reporter.warn("there is no sound to write beside the frames")
    elif not recipe.video.with_sound and heard.sound is not None and is_folder(target.outputs[0]):
        run.reporter.warn(
            f"{target.outputs[0]} is a folder of pictures: the sound is left out; --with-sound "
            f"writes it there, or take it from {heard.sound.path}"
        )
    if mix.silent and heard.sound is not None:
        run.reporter.warn(f"{heard.sound.path} is silent: the mouth stays shut")
