"""Checks before any work: can the outputs be written, and are background and renderer usable?"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from talkcli.avatar import View
from talkcli.config import TRANSPARENT, VideoConfig
from talkcli.errors import InputError, UsageError
from talkcli.render.backend import choose_backend

#: The widest picture that x264 can encode, pixels.
_WIDEST_PX = 16384
#: Values of ``--bg`` that keep the picture's own background.
_GROUNDS = ("keep", "plate")


def check_outputs(
    paths: Sequence[Path], inputs: Sequence[Path], check: Callable[[Path], None]
) -> None:
    """Make sure that every output can be written and that none replaces an input.

    Args:
        paths: the outputs.
        inputs: files that are read.
        check: raises for a path that cannot be written.

    Raises:
        UsageError: two outputs would have the same name.
        InputError: an output is also an input, or raised by ``check``.
    """
    if len(set(paths)) < len(paths):
        raise UsageError(
            "--views lists a view twice", "give each yaw only once with --layout files"
        )
    present = [source for source in inputs if source.exists()]
    for path in paths:
        if path.exists() and any(path.samefile(source) for source in present):
            raise InputError(f"the output {path} is also an input", "choose another -o")
        # A folder of frames is replaced as a whole.
        for source in present:
            if path.is_dir() and path.samefile(source.resolve().parent):
                raise InputError(f"the input {source} lies in {path}", "choose another -o")
        check(path)


def check_files(paths: Sequence[Path], inputs: Sequence[Path], *, overwrite: bool) -> None:
    """As :func:`check_outputs`, for outputs that are plain files."""
    from talkcli.files.output import check_output

    check_outputs(paths, inputs, lambda path: check_output(path, overwrite=overwrite))


def view_paths(output: Path, views: Sequence[View], layout: str) -> tuple[Path, ...]:
    """One path for a strip, or one per view: ``talk_-30.mp4``, ``talk_0.mp4``, ``talk_+30.mp4``."""
    if layout == "strip" or len(views) == 1:
        return (output,)
    names = ("source" if view.yaw_deg is None else _signed(view.yaw_deg) for view in views)
    return tuple(output.with_name(f"{output.stem}_{name}{output.suffix}") for name in names)


def _signed(yaw: float) -> str:
    return "0" if yaw == 0 else f"{yaw:+g}"


def check_width(views: int, width: int) -> None:
    """Reject a strip that is too wide for H.264, before it is rendered.

    Args:
        views: number of views side by side in one file.
        width: width of one view, pixels.

    Raises:
        UsageError: the strip is too wide.
    """
    if views * width > _WIDEST_PX:
        raise UsageError(
            f"{views} views of {width} pixels side by side are {views * width} pixels wide, "
            f"more than the {_WIDEST_PX} that a video can have",
            "use fewer --views, a smaller --size, or --layout files",
        )


def background_files(bg: str) -> list[Path]:
    """The picture behind the head, if a picture it is."""
    from talkcli.compose.color import named_color

    return [] if bg in (*_GROUNDS, TRANSPARENT) or named_color(bg) is not None else [Path(bg)]


def _check_background(bg: str) -> None:
    from talkcli.compose.color import not_a_color
    from talkcli.media.image import check_image

    for path in background_files(bg):
        if not (os.sep in bg or "." in bg or os.path.lexists(bg)):
            raise not_a_color(bg)
        check_image(path, "a background picture")


def check_scene(video: VideoConfig, backend: str) -> str:
    """Reject an unusable background or renderer before any work is done.

    Returns:
        The renderer that will be used.

    Raises:
        UsageError: a background that is not a colour.
        InputError: a background picture that cannot be read.
        MissingDependencyError: the requested renderer is not available.
    """
    _check_background(video.bg)
    return choose_backend(backend).name
