"""The engine, as used through the registry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from talkcli.avatar import Avatar, PictureSource, Source
from talkcli.config import Recipe
from talkcli.engines.mggtalk.weights import weights_path
from talkcli.engines.portrait.build.engine import ENGINE as PORTRAIT
from talkcli.files.atomic import sha256_file
from talkcli.project.run import Run

#: Increased whenever the engine's output for the same picture and weights changes.
DECODED_VERSION = 1


class MggTalkEngine:
    """Makes avatars from one picture, in seconds; see :mod:`talkcli.engines.mggtalk`."""

    name = "mggtalk"
    version = DECODED_VERSION
    source: Literal["picture", "clip"] = "picture"

    def key(self, recipe: Recipe) -> Mapping[str, Any]:
        """See :class:`talkcli.engines.registry.Engine`.

        Raises:
            InputError: the file of weights cannot be read.
        """
        path = weights_path(recipe.mggtalk.weights)
        return {
            **PORTRAIT.key(recipe),
            "portrait": PORTRAIT.version,
            "weights": None if path is None else sha256_file(path),
            "strength": recipe.mggtalk.strength,
        }

    def make(self, source: Source, run: Run, directory: Path) -> None:
        """See :class:`talkcli.engines.registry.Engine`."""
        from dataclasses import replace

        from talkcli.engines.mggtalk.checkpoint import save_decoded
        from talkcli.engines.mggtalk.refine import ENGINE as NAME
        from talkcli.engines.mggtalk.refine import refined
        from talkcli.engines.mggtalk.weights import load_decoder
        from talkcli.engines.portrait.build.build import build_unrounded
        from talkcli.tracking.landmarks import Face

        assert isinstance(source, PictureSource)
        path, settings = weights_path(run.recipe.mggtalk.weights), run.recipe.mggtalk
        # Before the avatar, which takes seconds to build.
        decoder = None if path is None else load_decoder(path)
        face = Face(source.points)
        avatar = build_unrounded(source.rgba, face, run.recipe.portrait, source.output_side)
        if decoder is None:
            done = replace(avatar, engine=NAME)
        else:
            done = refined(avatar, decoder, settings.strength)
        save_decoded(done, directory)

    def check(self, directory: Path) -> None:
        """See :class:`talkcli.engines.registry.Engine`."""
        from talkcli.engines.mggtalk.checkpoint import check_decoded

        check_decoded(directory)

    def load(self, directory: Path) -> Avatar:
        """See :class:`talkcli.engines.registry.Engine`."""
        from talkcli.engines.mggtalk.checkpoint import load_decoded

        return load_decoded(directory)


ENGINE = MggTalkEngine()
