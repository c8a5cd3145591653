"""Typer commands and groups whose help shows flags without a type; a check of numbers."""

from __future__ import annotations

import math
from typing import Any

from typer import BadParameter
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


def a_number(value: float) -> float:
    """Refuse "nan", which fails no comparison with the limits of an option.

    Raises:
        BadParameter: it is no number.
    """
    if math.isnan(value):
        raise BadParameter(f"{value} is not a number.")
    return value
