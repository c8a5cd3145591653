"""The engine for clips of one person, as used through the registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from talkcli.avatar import Avatar, ClipSource, Source
from talkcli.config import Recipe
from talkcli.project.run import Run

#: Increased whenever the engine's output for the same clip changes. The portrait engine's output is
#: part of it, but a fit replaces most of what that gives.
FIT_VERSION = 2


class AudioPlaneEngine:
    """Fits an avatar to a prepared clip, in minutes."""

    name = "audio-plane"
    version = FIT_VERSION
    source: Literal["picture", "clip"] = "clip"

    def key(self, recipe: Recipe) -> Mapping[str, Any]:
        """See :class:`talkcli.engines.registry.Engine`."""
        return {**asdict(recipe.fit), "seed": recipe.seed}

    def make(self, source: Source, run: Run, directory: Path) -> None:
        """See :class:`talkcli.engines.registry.Engine`; a fit that was stopped goes on."""
        from talkcli.engines.audio_plane.checkpoint import save_subject
        from talkcli.engines.audio_plane.make import fit_subject, save_report

        assert isinstance(source, ClipSource)
        avatar, report = fit_subject(source, run)
        save_subject(avatar, directory)
        save_report(report, directory)

    def check(self, directory: Path) -> None:
        """See :class:`talkcli.engines.registry.Engine`."""
        from talkcli.engines.audio_plane.checkpoint import check_subject

        check_subject(directory)

    def load(self, directory: Path) -> Avatar:
        """See :class:`talkcli.engines.registry.Engine`."""
        from talkcli.engines.audio_plane.checkpoint import load_subject

        return load_subject(directory)


ENGINE = AudioPlaneEngine()
