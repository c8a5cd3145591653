"""Where results go, checked before any work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from talkcli.errors import InputError, UsageError


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
