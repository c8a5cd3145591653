"""The portrait engine, as used through the registry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from talkcli.avatar import Avatar, PictureSource, Source
from talkcli.config import Recipe
from talkcli.project.run import Run

#: Increased whenever the engine's output for the same picture changes.
AVATAR_VERSION = 50


class PortraitEngine:
    """Makes avatars from one picture, in seconds; see :mod:`talkcli.engines.portrait.build`."""

    name = "portrait"
    version = AVATAR_VERSION
    source: Literal["picture", "clip"] = "picture"

    def key(self, recipe: Recipe) -> Mapping[str, Any]:
        """See :class:`talkcli.engines.registry.Engine`."""
        return {
            "max_crop": recipe.portrait.max_crop,
            "fit_iterations": recipe.portrait.fit_iterations,
        }

    def make(self, source: Source, run: Run, directory: Path) -> None:
        """See :class:`talkcli.engines.registry.Engine`."""
        from talkcli.engines.portrait.build.build import build_unrounded
        from talkcli.engines.portrait.checkpoint import save_avatar
        from talkcli.tracking.landmarks import Face

        assert isinstance(source, PictureSource)
        face = Face(source.points)
        avatar = build_unrounded(source.rgba, face, run.recipe.portrait, source.output_side)
        save_avatar(avatar, directory)

    def check(self, directory: Path) -> None:
        """See :class:`talkcli.engines.registry.Engine`."""
        from talkcli.engines.portrait.checkpoint import check_avatar

        check_avatar(directory)

    def load(self, directory: Path) -> Avatar:
        """See :class:`talkcli.engines.registry.Engine`."""
        from talkcli.engines.portrait.checkpoint import load_avatar

        return load_avatar(directory)


ENGINE = PortraitEngine()
