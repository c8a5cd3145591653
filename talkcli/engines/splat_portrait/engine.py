"""The splat-portrait engine, as used through the registry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from talkcli.avatar import Avatar, PictureSource, Source
from talkcli.config import Recipe
from talkcli.engines.splat_portrait.network import ENGINE as NAME
from talkcli.project.run import Run

#: Increased whenever the engine's output for the same picture and weights changes.
HEADS_VERSION = 1


class SplatPortraitEngine:
    """Makes avatars from one picture in a pass of a network; see the package."""

    name = NAME
    version = HEADS_VERSION
    source: Literal["picture", "clip"] = "picture"

    def key(self, recipe: Recipe) -> Mapping[str, Any]:
        """See :class:`talkcli.engines.registry.Engine`; weights are told apart by their hash."""
        from talkcli.engines.splat_portrait.lift import weights_file
        from talkcli.files.atomic import sha256_file

        return {
            "weights": sha256_file(weights_file(recipe.splat_portrait.weights)),
            "landmarks": recipe.splat_portrait.landmarks,
            "max_crop": recipe.portrait.max_crop,
            "fit_iterations": recipe.portrait.fit_iterations,
        }

    def make(self, source: Source, run: Run, directory: Path) -> None:
        """See :class:`talkcli.engines.registry.Engine`."""
        from talkcli.engines.portrait.checkpoint import save_avatar
        from talkcli.engines.splat_portrait.build import build_head

        assert isinstance(source, PictureSource)
        save_avatar(build_head(source, run.recipe), directory)

    def check(self, directory: Path) -> None:
        """See :class:`talkcli.engines.registry.Engine`."""
        from talkcli.engines.portrait.checkpoint import check_avatar

        check_avatar(directory, NAME)

    def load(self, directory: Path) -> Avatar:
        """See :class:`talkcli.engines.registry.Engine`."""
        from talkcli.engines.portrait.checkpoint import load_avatar

        return load_avatar(directory, NAME)


ENGINE = SplatPortraitEngine()
