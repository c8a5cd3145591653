"""The engine, as used through the registry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from talkcli.avatar import Avatar, PictureSource, Source
from talkcli.config import Recipe
from talkcli.engines.mggtalk.weights import NONE, weights_path
from talkcli.engines.portrait.build.engine import ENGINE as PORTRAIT
from talkcli.files.atomic import sha256_file
from talkcli.files.check import check_readable
from talkcli.project.run import Run

if TYPE_CHECKING:
    from talkcli.engines.portrait.avatar import PortraitAvatar

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
            InputError: the file of weights or that of the depth network cannot be read.
        """
        path = weights_path(recipe.mggtalk.weights)
        depth = None if recipe.mggtalk.depth == NONE else Path(recipe.mggtalk.depth)
        if depth is not None:
            check_readable(depth, "a depth network")
        return {
            **PORTRAIT.key(recipe),
            "portrait": PORTRAIT.version,
            "weights": None if path is None else sha256_file(path),
            "strength": recipe.mggtalk.strength,
            "depth": None if depth is None else sha256_file(depth),
        }

    def make(self, source: Source, run: Run, directory: Path) -> None:
        """See :class:`talkcli.engines.registry.Engine`."""
        from dataclasses import replace

        from talkcli.engines.mggtalk.checkpoint import save_decoded
        from talkcli.engines.mggtalk.refine import ENGINE as NAME
        from talkcli.engines.mggtalk.refine import refined
        from talkcli.engines.mggtalk.weights import load_decoder

        assert isinstance(source, PictureSource)
        settings = run.recipe.mggtalk
        path = weights_path(settings.weights)
        # Before the avatar, which takes seconds to build.
        decoder = None if path is None else load_decoder(path)
        avatar = _analytic(source, run.recipe)
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


def _analytic(source: PictureSource, recipe: Recipe) -> PortraitAvatar:
    """The avatar that residuals are added to, with a depth network's relief if one is named.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
        InputError: the depth network's file cannot be used.
    """
    from talkcli.engines.portrait.build.build import build_unrounded
    from talkcli.tracking.landmarks import Face

    face, sized = Face(source.points), (source.output_side, recipe.portrait.max_crop)
    if recipe.mggtalk.depth == NONE:
        return build_unrounded(source.rgba, face, recipe.portrait, source.output_side)
    import numpy as np

    from talkcli.engines.mggtalk.relief import relieved
    from talkcli.engines.portrait.build.crop import cut_crop
    from talkcli.weights.depth_network import DepthNetwork

    network = DepthNetwork(Path(recipe.mggtalk.depth))
    avatar = build_unrounded(source.rgba, face, recipe.portrait, source.output_side)
    rgb = cut_crop(source.rgba, face, *sized).rgb
    return relieved(avatar, (255 * rgb + 0.5).astype(np.uint8), network)


ENGINE = MggTalkEngine()
