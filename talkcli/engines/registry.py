"""Which engines there are, and what each must offer.

A new engine is a folder under ``talkcli/engines``, a line in :data:`ENGINES` and a section of the
recipe for its settings; nothing else names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from talkcli.avatar import Avatar, PictureSource
from talkcli.config import Recipe
from talkcli.errors import UsageError
from talkcli.project.run import Run

#: Engine name to the module whose ``ENGINE`` it is; imported when it is asked for.
ENGINES: dict[str, str] = {
    "portrait": "talkcli.engines.portrait.build.engine",
}


@runtime_checkable
class Engine(Protocol):
    """A way to make avatars.

    Attributes:
        name: as recipes name it.
        version: part of the stage's key; raised whenever the engine makes something else.
        source: what it starts from.
    """

    name: str
    version: int
    source: Literal["picture", "clip"]

    def key(self, recipe: Recipe) -> Mapping[str, Any]:
        """The settings that decide what is made, JSON values: part of the stage's key."""

    def make(self, source: PictureSource, run: Run, directory: Path) -> None:
        """Make an avatar and write it into an empty directory.

        Args:
            source: what it is made from.
            run: settings, progress, and a project to keep intermediate stages in.
            directory: receives the avatar's files; whole when this returns.
        """

    def check(self, directory: Path) -> None:
        """Look whether :meth:`load` would succeed, as cheaply as that can be told.

        Raises:
            InputError: as :meth:`load`.
        """

    def load(self, directory: Path) -> Avatar:
        """Read what :meth:`make` wrote.

        Raises:
            InputError: files are missing, damaged or of a newer schema.
        """


def engine(name: str) -> Engine:
    """The engine of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in ENGINES:
        raise UsageError(f"unknown engine {name!r}", f"use one of: {', '.join(sorted(ENGINES))}")
    found: Engine = import_module(ENGINES[name]).ENGINE
    return found
