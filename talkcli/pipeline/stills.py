"""Pictures and turntable films of an avatar that does not speak."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from talkcli import __version__
from talkcli.config import TRANSPARENT, Recipe
from talkcli.errors import UsageError
from talkcli.pipeline.checks import check_outputs, check_scene, view_paths
from talkcli.pipeline.stages.avatar import stored_avatar
from talkcli.pipeline.video.scene import Scene
from talkcli.pipeline.video.shoot import FilmTarget, write_film
from talkcli.pipeline.video.views import ORBIT_S, plan_yaws
from talkcli.progress import Reporter, SilentReporter, Stopwatch
from talkcli.project import Project
from talkcli.types import ARKIT_NAMES, MotionFrame

#: Endings of pictures; any other output is a film (or a folder of its frames).
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class StillRequest:
    """What ``render`` was asked for.

    Attributes:
        project: directory that holds the avatar.
        output: picture or film; None for ``<project>_views.png`` beside the project.
        expression: ``jawOpen=0.5`` each.
        recipe: all settings.
        overwrite: existing results may be replaced.
    """

    project: Path
    output: Path | None
    expression: Sequence[str]
    recipe: Recipe
    overwrite: bool = False


@dataclass(frozen=True)
class StillResult:
    """What ``render`` made.

    Attributes:
        outputs: files, in the order of the views.
        project: directory that holds the avatar.
        width: pixels of one file.
        height: pixels.
        frames: 1 for pictures.
        seconds: by part of the work.
        recipe: all settings.
    """

    outputs: tuple[Path, ...]
    project: Path
    width: int
    height: int
    frames: int
    seconds: dict[str, float]
    recipe: Recipe

    def as_json(self) -> dict[str, Any]:
        """Plain values, keys as documented in docs/cli.md."""
        return {
            "command": "render",
            "version": __version__,
            "outputs": [str(path) for path in self.outputs],
            "project": str(self.project),
            "width": self.width,
            "height": self.height,
            "frames": self.frames,
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "recipe": self.recipe.as_json(),
        }


def render_stills(request: StillRequest, reporter: Reporter | None = None) -> StillResult:
    """Draw the avatar of a project: a picture per view, a strip of them, or a turntable film.

    Args:
        request: project, views, expression, output.
        reporter: told about progress.

    Raises:
        UsageError: unknown expression, or settings that contradict each other.
        InputError: no avatar there, or an output that cannot be written.
    """
    reporter = reporter or SilentReporter()
    watch = Stopwatch()
    motion = replace(MotionFrame.neutral(), expression=parse_expression(request.expression))
    recipe = request.recipe
    check_scene(recipe.video, recipe.backend)
    project = Project.open(request.project)
    output = request.output or _default_output(request)
    is_film = output.suffix.lower() not in PICTURE_SUFFIXES
    if not is_film and recipe.video.camera_path != "none":
        raise UsageError("--camera-path makes a film", "end the output in .mp4 or .mov")
    if is_film and recipe.video.camera_path == "none" and not recipe.video.views:
        recipe = replace(recipe, video=replace(recipe.video, camera_path="orbit"))
    yaws_at = plan_yaws(recipe.video, ORBIT_S)
    outputs = view_paths(output, yaws_at(0.0), recipe.video.layout)
    check_outputs(outputs, (), lambda path: _check(path, request, is_film))
    avatar = stored_avatar(project, recipe, reporter, watch)
    scene = Scene(avatar.path, recipe.video, recipe.backend, watch)
    if is_film:
        target = _film_target(outputs, recipe, request.overwrite)
        size = write_film(target, scene, repeat(motion), recipe.video, reporter, watch)
        frames = target.frames
    else:
        pictures = scene.pictures(motion, yaws_at(0.0))
        with watch.measure("encode"):
            size = _write_pictures(pictures, outputs, request.overwrite)
        frames = 1
    return StillResult(outputs, request.project, *size, frames, watch.seconds, recipe)


def parse_expression(texts: Sequence[str]) -> np.ndarray:
    """``[52]`` float32 weights from ``name=weight`` texts, each of which may hold several.

    Raises:
        UsageError: names every unknown name and every weight outside 0–1 together.
    """
    weights = np.zeros(len(ARKIT_NAMES), np.float32)
    problems = []
    for text in ",".join(texts).split(",") if texts else ():
        name, _, value = (part.strip() for part in text.partition("="))
        if name not in ARKIT_NAMES:
            near = difflib.get_close_matches(name, ARKIT_NAMES, n=1)
            problems.append(
                f"unknown expression {name!r}" + (f" (is it {near[0]}?)" if near else "")
            )
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
        raise UsageError("; ".join(problems), "give --expr as name=weight, e.g. jawOpen=0.5")
    return weights


def _default_output(request: StillRequest) -> Path:
    root = request.project.resolve()
    suffix = ".png" if request.recipe.video.camera_path == "none" else ".mp4"
    return root.with_name(f"{root.stem}_views{suffix}")


def _check(path: Path, request: StillRequest, is_film: bool) -> None:
    alpha = request.recipe.video.bg == TRANSPARENT
    if is_film:
        from talkcli.media.write import check_target

        check_target(path, overwrite=request.overwrite, alpha=alpha)
        return
    from talkcli.files.output import check_output

    if alpha and path.suffix.lower() in (".jpg", ".jpeg"):
        raise UsageError(f"{path.name}: JPEG keeps no transparency", "use .png or .webp")
    check_output(path, overwrite=request.overwrite)


def _film_target(outputs: tuple[Path, ...], recipe: Recipe, overwrite: bool) -> FilmTarget:
    from talkcli.media.write import frame_count, parse_fps

    fps = parse_fps(recipe.video.fps)
    return FilmTarget(outputs, fps, frame_count(ORBIT_S, fps), ORBIT_S, None, overwrite)


def _write_pictures(
    pictures: Sequence[np.ndarray], outputs: Sequence[Path], overwrite: bool
) -> tuple[int, int]:
    from talkcli.media.image import write_image

    if len(outputs) == 1:
        pictures = [np.concatenate(pictures, axis=1)]
    for path, picture in zip(outputs, pictures, strict=True):
        write_image(path, picture, overwrite=overwrite)
    height, width = pictures[0].shape[:2]
    return width, height
