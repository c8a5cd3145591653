"""The available engines, and the interface that each implements.

A new engine is a folder under ``talkcli/engines``, a line in :data:`ENGINES` and a recipe section
for its settings; nothing else refers to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from talkcli.avatar import Avatar, Source
from talkcli.config import Recipe
from talkcli.errors import UsageError
from talkcli.project.run import Run

#: Engine name to the module that defines it as ``ENGINE``; imported on first use.
ENGINES: dict[str, str] = {
    "audio-plane": "talkcli.engines.audio_plane.engine",
    "mggtalk": "talkcli.engines.mggtalk.engine",
    "portrait": "talkcli.engines.portrait.build.engine",
    "splat-portrait": "talkcli.engines.splat_portrait.engine",
}
#: Stands for the engine that does best with what an avatar is made from; docs/results.md compares.
AUTO = "auto"
_BEST = {"picture": "portrait", "clip": "audio-plane"}


@runtime_checkable
class Engine(Protocol):
    """A way to make avatars.

    Attributes:
        name: its name in recipes.
        version: part of the stage's key; increased whenever the engine's output changes.
        source: what it makes avatars from.
    """

    name: str
    version: int
    source: Literal["picture", "clip"]

    def key(self, recipe: Recipe) -> Mapping[str, Any]:
        """The settings that affect the result, as JSON values: part of the stage's key."""

    def make(self, source: Source, run: Run, directory: Path) -> None:
        """Make an avatar and write it into an empty directory.

        Args:
            source: what the avatar is made from, of the kind that ``source`` names.
            run: settings, progress, and a project for intermediate stages.
            directory: receives the avatar's files, all of them by the time this returns.
        """

    def check(self, directory: Path) -> None:
        """Check as cheaply as possible whether :meth:`load` would succeed.

        Raises:
            InputError: as for :meth:`load`.
        """

    def load(self, directory: Path) -> Avatar:
        """Read an avatar written by :meth:`make`.

        Raises:
            InputError: files are missing, damaged or of a newer schema.
        """


def engine(name: str, source: Literal["picture", "clip"] = "picture") -> Engine:
    """Look up an engine by name.

    Args:
        name: a key of :data:`ENGINES`, or :data:`AUTO`.
        source: what ``auto`` is the best for.

    Raises:
        UsageError: there is no such engine.
    """
    if name == AUTO:
        name = _BEST[source]
    if name not in ENGINES:
        names = ", ".join(sorted(ENGINES))
        raise UsageError(f"unknown engine {name!r}", f"use {AUTO}, or one of: {names}")
    found: Engine = import_module(ENGINES[name]).ENGINE
    return found
