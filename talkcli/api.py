"""The public Python API: what ``import talkcli`` provides and the command line calls.

    avatar = talkcli.reconstruct("me.png")
    talkcli.animate(avatar, "a.wav", views=(-30, 0, 30), output="talk.mp4")
    for rgb in talkcli.frames(avatar, talkcli.speak("a.wav"), fps=25): ...

Every function accepts the settings of ``docs/cli.md`` as keyword arguments under their plain names
(``views``, ``fps``, ``size``, ``bg``, ``still``, …), or a complete ``recipe``. Errors are those of
:mod:`talkcli.errors`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from talkcli.config import Recipe, recipe_with
from talkcli.errors import InputError, UsageError
from talkcli.pipeline.export import export as run_export
from talkcli.pipeline.request import Request
from talkcli.pipeline.result import Result
from talkcli.pipeline.stages.avatar import load_avatar
from talkcli.pipeline.stages.inputs import Clip, DriveInputs
from talkcli.pipeline.video.performance import MotionMix, Performance, curve_frames, portrait_hash
from talkcli.progress import Reporter, SilentReporter, Stopwatch
from talkcli.project import Project, cached_project_root
from talkcli.project.run import Run
from talkcli.types import MotionCurves, MotionFrame

if TYPE_CHECKING:
    from talkcli.avatar import Avatar

#: The path of a file or directory.
Name = str | Path


@dataclass(frozen=True)
class RunOptions:
    """How a command runs, whatever it makes.

    Attributes:
        project: project directory; None for the command's default.
        overwrite: whether existing outputs may be replaced.
        dry_run: check everything but write nothing.
        reporter: receives progress and warnings; the default one is silent.
        watch: stopwatch for the run; the default one starts now.
    """

    project: Name | None = None
    overwrite: bool = False
    dry_run: bool = False
    reporter: Reporter = field(default_factory=SilentReporter)
    watch: Stopwatch = field(default_factory=Stopwatch)

    def request(self, command: str, recipe: Recipe, output: Name | None) -> Request:
        """These options in the form that the pipeline takes."""
        project, place = (None if name is None else Path(name) for name in (self.project, output))
        return Request(command, recipe, project, place, self.overwrite, self.dry_run)


@dataclass(frozen=True)
class Subject:
    """An avatar in its project directory.

    Attributes:
        project: the project directory.
        result: result of the command that made it; None if it was only opened.
    """

    project: Path
    result: Result | None = None

    @cached_property
    def avatar(self) -> Avatar:
        """The avatar itself, read on first use.

        Raises:
            InputError: the project holds no avatar, or a damaged one.
        """
        current = Project.open(self.project).current("avatar")
        if current is None:
            raise InputError(
                f"{self.project} holds no complete avatar",
                f"make one with: talkcli reconstruct PORTRAIT -p {self.project}",
            )
        return load_avatar(current)


@dataclass(frozen=True)
class Tracked:
    """A tracked clip.

    Attributes:
        curves: the performance; None in a dry run if the clip has not been tracked yet.
        result: result of the command that tracked it.
    """

    curves: MotionCurves | None
    result: Result


def reconstruct(
    portrait: Name,
    *,
    output: Name | None = None,
    recipe: Recipe | None = None,
    run: RunOptions | None = None,
    **settings: Any,
) -> Subject:
    """Build the avatar of a picture in a project directory, or reuse the one there.

    Args:
        portrait: a picture with a face.
        output: file to write the neutral head to as well, a 3DGS ``.ply``.
        recipe: all settings; None for the defaults.
        run: project directory (default: ``<portrait>.talk`` beside the picture) and so on.
        **settings: individual settings by name.

    Raises:
        InputError: no usable face, or a path that cannot be written.
    """
    from talkcli.pipeline.reconstruct import reconstruct as build

    run = run or RunOptions()
    request = run.request("reconstruct", recipe_with(recipe, settings), output)
    result = build(request, Path(portrait), run.reporter, run.watch)
    return Subject(result.project, result)


def animate(
    source: Name | Subject,
    speech: Name | None = None,
    *,
    driver: Name | None = None,
    pose_from: Name | None = None,
    output: Name | None = None,
    recipe: Recipe | None = None,
    run: RunOptions | None = None,
    **settings: Any,
) -> Result:
    """Make a video in which a head speaks, or follows another face.

    Args:
        source: a picture, whose avatar is built or reused; a project directory; or a subject.
        speech: any file with sound.
        driver: clip or curves of a face to follow; speech then moves only the lips.
        pose_from: clip or curves to take the head pose from.
        output: the video; None puts it beside the input.
        recipe: all settings; None for the defaults.
        run: project directory (for a picture; default: in the user's cache) and so on.
        **settings: individual settings by name.

    Raises:
        UsageError: settings that contradict each other.
        InputError: an input that cannot be used, or an output that cannot be written.
        MissingDependencyError: the requested back-end is not available.
    """
    from talkcli.pipeline.animate import animate as make

    run = run or RunOptions()
    inputs = DriveInputs(speech, driver, pose_from)
    portrait: Path | None = None
    if isinstance(source, Subject) or Path(source).is_dir():
        run = replace(run, project=_project_of(source))
    else:
        portrait = Path(source)
    command = "drive" if portrait is None else "animate"
    request = run.request(command, recipe_with(recipe, settings), output)
    return make(request, inputs, portrait, run.reporter, run.watch)


def draw(
    source: Name | Subject,
    expression: Iterable[str] = (),
    *,
    output: Name | None = None,
    recipe: Recipe | None = None,
    run: RunOptions | None = None,
    **settings: Any,
) -> Result:
    """Draw a silent avatar: one picture per view, a strip of views, or a turntable video.

    Args:
        source: a project directory or a subject.
        expression: ARKit weights, each written as ``jawOpen=0.5``.
        output: ``.png``, ``.jpg``, ``.webp`` or a video; None puts it beside the project.
        recipe: all settings; None for the defaults.
        run: see :class:`RunOptions`.
        **settings: individual settings by name.

    Raises:
        UsageError: an unknown expression, or settings that contradict each other.
        InputError: no avatar in the project, or an output that cannot be written.
    """
    from talkcli.pipeline.stills import render_stills

    run = replace(run or RunOptions(), project=_project_of(source))
    request = run.request("render", recipe_with(recipe, settings), output)
    return render_stills(request, tuple(expression), run.reporter, run.watch)


def frames(
    source: Name | Subject,
    motion: Performance | MotionCurves | Iterable[MotionFrame],
    *,
    recipe: Recipe | None = None,
    run: RunOptions | None = None,
    **settings: Any,
) -> Iterator[np.ndarray]:
    """Yield finished pictures one by one, for use in a loop of your own.

    Args:
        source: a project directory or a subject.
        motion: from :func:`speak` or :func:`track`, or motion frames of your own.
        recipe: all settings; None for the defaults.
        run: see :class:`RunOptions`.
        **settings: individual settings by name: ``fps``, ``size``, ``views``, ``bg``, …

    Yields:
        ``[H, W, 3]`` uint8 sRGB (``[H, W, 4]`` with ``bg="transparent"``) with the views side by
        side, a new array for every frame.

    Raises:
        UsageError: settings that contradict each other, or a camera path, which is spread over the
            whole motion, with frames whose number is unknown.
        InputError: no avatar in the project.
    """
    from talkcli.media.write import parse_fps
    from talkcli.pipeline.stages.kernels import ensure_kernels
    from talkcli.pipeline.video.scene import AvatarPlayer
    from talkcli.pipeline.video.views import plan_views

    run = run or RunOptions()
    chosen = recipe_with(recipe, settings)
    subject = source if isinstance(source, Subject) else load(source)
    fps = parse_fps(chosen.video.fps)
    path = chosen.video.camera_path != "none"
    views_at = plan_views(chosen.video, _seconds(motion, fps) if path else 1.0)
    ensure_kernels(run.reporter, run.watch)
    avatar, still_body = subject.avatar.playback(), chosen.motion.still_body
    player = AvatarPlayer(avatar, chosen.video, chosen.backend, run.watch, still_body=still_body)
    for number, frame in enumerate(_motions(motion, fps, chosen, subject)):
        views = views_at(float((number + 0.5) / fps))
        yield np.concatenate(player.pictures(frame, views), axis=1)


def speak(
    speech: Name,
    *,
    driver: Name | None = None,
    pose_from: Name | None = None,
    recipe: Recipe | None = None,
    run: RunOptions | None = None,
    **settings: Any,
) -> Performance:
    """Compute the motion of a speaking head, for :func:`frames`.

    Args:
        speech: any file with sound.
        driver: clip or curves of a face to follow; speech then moves only the lips.
        pose_from: clip or curves to take the head pose from.
        recipe: all settings; None for the defaults.
        run: see :class:`RunOptions`; its project keeps the tracked clips.
        **settings: individual settings by name: ``seed``, ``lip_strength``, ``still``, …

    Raises:
        InputError: a file that cannot be used.
    """
    run = run or RunOptions()
    inputs = DriveInputs(speech, driver, pose_from)
    inputs.check()
    clips = [inputs.clip(path) for path in inputs.clips]
    root = Path(run.project or cached_project_root(clips[0].source.sha256 if clips else ""))
    project = Project.create(root) if clips else Project.plan(root)
    chosen = recipe_with(recipe, settings)
    return Performance(MotionMix(inputs, Run(project, chosen, run.reporter, run.watch)))


def track(
    clip: Name,
    *,
    output: Name | None = None,
    recipe: Recipe | None = None,
    run: RunOptions | None = None,
    **settings: Any,
) -> Tracked:
    """Track the performance of the face in a clip, as ARKit curves.

    Args:
        clip: a video of a face.
        output: file to write the curves to as well: a Live Link Face ``.csv``, or ``.npz``.
        recipe: all settings; None for the defaults.
        run: project directory (default: in the user's cache) and so on.
        **settings: individual settings by name.

    Raises:
        InputError: not a video, no face in it, or an output that cannot be written.
        MissingDependencyError: the requested landmark network is not available.
    """
    from talkcli.pipeline.track import track as make

    run = run or RunOptions()
    request = run.request("track", recipe_with(recipe, settings), output)
    curves, result = make(request, Clip(Path(clip)), run.reporter, run.watch)
    return Tracked(curves, result)


def export(
    source: Name | Subject,
    output: Name | None = None,
    *,
    recipe: Recipe | None = None,
    run: RunOptions | None = None,
    **settings: Any,
) -> Result:
    """Export the neutral head of an avatar for other programs.

    Args:
        source: a project directory or a subject.
        output: a ``.ply``, the 3DGS format that viewers open; None puts it beside the project.
        recipe: all settings; None for the defaults.
        run: see :class:`RunOptions`.
        **settings: individual settings by name.

    Raises:
        UsageError: an unknown file extension.
        InputError: no avatar in the project, or an output that cannot be written.
    """
    run = replace(run or RunOptions(), project=_project_of(source))
    request = run.request("export", recipe_with(recipe, settings), output)
    return run_export(request, run.reporter, run.watch)


def load(project: Name) -> Subject:
    """Open a project directory that holds an avatar.

    Raises:
        InputError: the directory holds no usable avatar.
    """
    subject = Subject(Path(project))
    # Read the avatar now, so that an unusable directory is reported here.
    _ = subject.avatar
    return subject


def _project_of(source: Name | Subject) -> Path:
    return source.project if isinstance(source, Subject) else Path(source)


def _seconds(motion: Performance | MotionCurves | Iterable[MotionFrame], fps: Fraction) -> float:
    """How long a motion lasts."""
    if isinstance(motion, Performance):
        return motion.measure()
    if isinstance(motion, MotionCurves):
        return motion.duration_s
    if not isinstance(motion, Sized):
        raise UsageError(
            "a camera path is spread over the whole motion, whose length is unknown",
            "give the motion frames as a list",
        )
    return max(1, len(motion)) / float(fps)


def _motions(
    motion: Performance | MotionCurves | Iterable[MotionFrame],
    fps: Fraction,
    recipe: Recipe,
    subject: Subject,
) -> Iterable[MotionFrame]:
    if isinstance(motion, Performance):
        portrait = portrait_hash(Project.plan(subject.project))
        return motion.frames(fps, portrait, subject.avatar.info)
    if isinstance(motion, MotionCurves):
        return curve_frames(motion, recipe.motion, fps, subject.avatar.info)
    return motion
