"""Typer commands and groups whose help shows flags without a type."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup


class _PlainFlags:
    """Hides the ``<bool>`` that Typer prints after every flag, those of its own included."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters of the command, and ``--help``."""
        params = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
        return params


class Command(_PlainFlags, TyperCommand):
    """A command."""


class Group(_PlainFlags, TyperGroup):
    """A group of commands."""
