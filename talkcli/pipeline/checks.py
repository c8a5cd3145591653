"""What a command refuses before any work: inputs, outputs, backgrounds that cannot be had."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from talkcli.config import TRANSPARENT, Recipe, VideoConfig
from talkcli.errors import InputError, UsageError
from talkcli.motion.curves import is_curves, load_curves
from talkcli.pipeline.stages.track import plan_track
from talkcli.pipeline.video.performance import Movers
from talkcli.project import StageRun
from talkcli.render.player import settle_backend


def check_outputs(
    paths: Sequence[Path], inputs: Sequence[Path], check: Callable[[Path], None]
) -> None:
    """Make sure that every result can be written and none replaces an input.

    Args:
        paths: results.
        inputs: files that are read.
        check: raises for a path that cannot be written.

    Raises:
        UsageError: two results would have the same name.
        InputError: an output is an input, or ``check`` raises it.
    """
    if len(set(paths)) < len(paths):
        raise UsageError("--views names a view twice", "give each yaw once with --layout files")
    for path in paths:
        if path.exists() and any(path.samefile(source) for source in inputs if source.exists()):
            raise InputError(f"the output {path} is also an input", "choose another -o")
        check(path)


def view_paths(output: Path, yaws: Sequence[float | None], layout: str) -> tuple[Path, ...]:
    """One path for a strip, or one per view: ``talk_-30.mp4``, ``talk_0.mp4``, ``talk_+30.mp4``."""
    if layout == "strip" or len(yaws) == 1:
        return (output,)
    names = ("source" if yaw is None else _signed(yaw) for yaw in yaws)
    return tuple(output.with_name(f"{output.stem}_{name}{output.suffix}") for name in names)


def _signed(yaw: float) -> str:
    return "0" if yaw == 0 else f"{yaw:+g}"


def check_files(movers: Movers) -> list[Path]:
    """All files that move the head, after a first look at each.

    Raises:
        UsageError: none was given.
        InputError: one is missing, empty or unreadable.
    """
    from talkcli.files.check import check_readable

    if movers.speech is None and not movers.faces:
        raise UsageError(
            "there is nothing to move the head by", "give a sound file, or a film with --driver"
        )
    files = [] if movers.speech is None else [check_readable(movers.speech, "a recording")]
    return files + [check_readable(path, "a video of a face") for path in movers.faces]


def check_movers(movers: Movers) -> float:
    """Refuse inputs that cannot move a head, before any work is done for them.

    Returns:
        Length of the film in seconds; an estimate where a film has to be tracked to know it.

    Raises:
        InputError: a file that cannot be used.
    """
    from talkcli.media.audio import probe_audio
    from talkcli.media.read import probe

    for path in movers.faces:
        if is_curves(path):
            load_curves(path)
        else:
            check_film(path)
    if movers.speech is not None:
        return probe_audio(movers.speech).duration_s
    leading = movers.driver or movers.faces[0]
    if is_curves(leading):
        return load_curves(leading).duration_s
    info = probe(leading)
    return info.n_frames / float(info.fps) if info.n_frames and info.fps else info.duration_s


def plan_tracks(root: Path, movers: Movers, recipe: Recipe) -> tuple[StageRun, ...]:
    """The tracking stages that a film would take."""
    return tuple(plan_track(root, path, recipe) for path in movers.faces if not is_curves(path))


_COLOUR = re.compile(r"#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


def check_scene(video: VideoConfig, backend: str) -> None:
    """Refuse a background or renderer that cannot be had, before anything is computed for it.

    Raises:
        UsageError: a background that is no colour.
        InputError: a background picture that cannot be read.
        MissingDependencyError: a renderer that was asked for by name and is not there.
    """
    if video.bg.startswith("#"):
        if not _COLOUR.fullmatch(video.bg):
            raise UsageError(f"--bg {video.bg} is not a colour", "write it as #1e90ff")
    elif video.bg not in ("keep", "plate", TRANSPARENT):
        from talkcli.files.check import check_readable

        check_readable(video.bg, "a background picture")
    if backend == "cuda":
        settle_backend(backend)


def check_film(path: Path) -> None:
    """Refuse what is no film of a face before any work is done for it.

    Raises:
        InputError: missing, empty, a picture, sound alone, or unreadable.
    """
    from talkcli.media.identify import describe
    from talkcli.media.read import probe, read_frames
    from talkcli.tracking.clip import FEWEST_FRAMES, too_few_frames

    try:
        info = probe(path)
    except InputError:
        if path.is_file() and describe(path) == "a picture":
            raise InputError(
                f"{path} is a picture: nothing moves in it",
                "give a video of a face that moves, or sound to speak",
            ) from None
        raise
    if not info.has_video:
        raise InputError(f"{path} has no picture in it, only sound", "give a video of a face")
    # Not every container counts its frames.
    frames = info.n_frames or sum(1 for _ in islice(read_frames(path), FEWEST_FRAMES))
    if frames < FEWEST_FRAMES:
        raise too_few_frames(path, frames)
