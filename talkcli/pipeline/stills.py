"""Pictures and turntable videos of a silent avatar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import numpy as np

from talkcli.config import TRANSPARENT
from talkcli.errors import UsageError, did_you_mean
from talkcli.pipeline.checks import (
    background_files,
    check_outputs,
    check_scene,
    check_width,
    view_paths,
)
from talkcli.pipeline.request import Request
from talkcli.pipeline.result import Result, trusted_facts
from talkcli.pipeline.stages.avatar import stored_avatar
from talkcli.pipeline.stages.kernels import ensure_kernels
from talkcli.pipeline.video.scene import AvatarPlayer
from talkcli.pipeline.video.shoot import VideoTarget, render_video
from talkcli.pipeline.video.views import ORBIT_S, plan_views, warn_of_unseen
from talkcli.progress import Reporter, Stopwatch
from talkcli.project import Project
from talkcli.project.run import Run
from talkcli.types import ARKIT_NAMES, MotionFrame

#: Extensions of pictures; any other output is a video (or a folder of its frames).
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def render_stills(
    request: Request, expression: Sequence[str], reporter: Reporter, watch: Stopwatch
) -> Result:
    """Draw a project's avatar: one picture per view, a strip of views, or a turntable video.

    Args:
        request: ``project`` holds the avatar; ``output`` is a picture or a video and defaults to
            ``<project>_views.png`` beside the project.
        expression: weights, each written as ``jawOpen=0.5``.
        reporter: receives progress.
        watch: receives the seconds of every part of the work.

    Raises:
        UsageError: an unknown expression, or settings that contradict each other.
        InputError: no avatar in the project, or an output that cannot be written.
    """
    from talkcli.compose.blend import output_size
    from talkcli.media.write import frame_count, parse_fps

    assert request.project is not None
    motion = replace(MotionFrame.neutral(), expression=parse_expression(expression))
    recipe = request.recipe
    backend = check_scene(recipe.video, recipe.backend)
    project = Project.open(request.project)
    output = request.output or _default_output(request)
    is_video = output.suffix.lower() not in PICTURE_SUFFIXES
    if not is_video and recipe.video.camera_path != "none":
        raise UsageError("--camera-path makes a video", "give an output that ends in .mp4 or .mov")
    if is_video and recipe.video.camera_path == "none" and not recipe.video.views:
        recipe = replace(recipe, video=replace(recipe.video, camera_path="orbit"))
    views = plan_views(recipe.video, ORBIT_S)(0.0)
    outputs = view_paths(output, views, recipe.video.layout)
    check_outputs(
        outputs, background_files(recipe.video.bg), lambda path: _check(path, request, is_video)
    )
    run = Run(project, recipe, reporter, watch, request.dry_run)
    avatar = stored_avatar(run)
    fps = parse_fps(recipe.video.fps)
    frames = frame_count(ORBIT_S, fps) if is_video else 1
    width, height = output_size(*avatar.size, recipe.video.size or None)
    columns = len(views) // len(outputs)
    if is_video:
        check_width(columns, width)
    if not request.dry_run:
        ensure_kernels(reporter, watch)
        with watch.measure("load"):
            model = avatar.avatar
        warn_of_unseen(model.info, recipe.video, reporter)
        # Nothing moves it: the head of a picture keeps its place.
        player = AvatarPlayer(model, recipe.video, recipe.backend, watch, still_body=True)
        if is_video:
            target = VideoTarget(outputs, fps, ORBIT_S, None, 0.0, request.overwrite)
            render_video(target, player, repeat(motion, frames), run)
        else:
            pictures = player.pictures(motion, views)
            with watch.measure("encode"):
                _write_pictures(pictures, outputs, request.overwrite)
    facts = {"frames": frames, "width": columns * width, "height": height, "backend": backend}
    facts |= trusted_facts(avatar.stages)
    return Result.of(request, run, outputs, avatar.stages, facts)


def parse_expression(texts: Sequence[str]) -> np.ndarray:
    """``[52]`` float32 weights from ``name=weight`` strings, each of which may list several.

    Raises:
        UsageError: unknown names or weights outside 0–1; the message lists all of them.
    """
    weights = np.zeros(len(ARKIT_NAMES), np.float32)
    problems = []
    for text in ",".join(texts).split(",") if texts else ():
        name, _, value = (part.strip() for part in text.partition("="))
        if name not in ARKIT_NAMES:
            problems.append(f"unknown expression {name!r}{did_you_mean(name, ARKIT_NAMES)}")
            continue
        try:
            weight = float(value)
        except ValueError:
            weight = -1.0
        if 0 <= weight <= 1:
            weights[ARKIT_NAMES.index(name)] = weight
        else:
            problems.append(f"{name} must be between 0 and 1, not {value!r}")
    if problems:
        raise UsageError("; ".join(problems), "give --expression as name=weight, e.g. jawOpen=0.5")
    return weights


def _default_output(request: Request) -> Path:
    assert request.project is not None
    root = request.project.resolve()
    suffix = ".png" if request.recipe.video.camera_path == "none" else ".mp4"
    return root.with_name(f"{root.stem}_views{suffix}")


def _check(path: Path, request: Request, is_video: bool) -> None:
    alpha = request.recipe.video.bg == TRANSPARENT
    if is_video:
        from talkcli.media.write import check_target

        check_target(path, overwrite=request.overwrite, alpha=alpha)
        return
    from talkcli.files.output import check_output

    if alpha and path.suffix.lower() in (".jpg", ".jpeg"):
        raise UsageError(f"{path.name}: JPEG does not support transparency", "use .png or .webp")
    check_output(path, overwrite=request.overwrite)


def _write_pictures(
    pictures: Sequence[np.ndarray], outputs: Sequence[Path], overwrite: bool
) -> None:
    from talkcli.media.image import write_image

    if len(outputs) == 1:
        pictures = [np.concatenate(pictures, axis=1)]
    for path, picture in zip(outputs, pictures, strict=True):
        write_image(path, picture, overwrite=overwrite)
