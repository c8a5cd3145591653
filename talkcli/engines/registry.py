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
    "portrait": "talkcli.engines.portrait.build.engine",
}


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


def engine(name: str) -> Engine:
    """Look up an engine by name.

    Raises:
        UsageError: there is no such engine.
    """
    if name not in ENGINES:
        raise UsageError(f"unknown engine {name!r}", f"use one of: {', '.join(sorted(ENGINES))}")
    found: Engine = import_module(ENGINES[name]).ENGINE
    return found
