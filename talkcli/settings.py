"""Fields of the settings' dataclasses: their limits, and values made to fit their types."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any


def setting(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
    even: bool = False,
    least: int = 0,
) -> Any:
    """A dataclass field with limits, which :func:`check_limits` checks.

    Args:
        default: value when none is given.
        low: smallest allowed number; applies to every element of a list.
        high: largest allowed number; likewise.
        choices: the only strings allowed.
        even: the number must be even.
        least: smallest allowed number other than 0, which stands for an automatic choice.
    """
    limits = {"low": low, "high": high, "choices": tuple(choices), "even": even, "least": least}
    return field(default=default, metadata=limits)


def convert(value: Any, hint: Any) -> Any:
    """Convert a value to the type of a setting.

    Args:
        value: from TOML, the command line or Python.
        hint: ``str``, ``int``, ``float``, ``bool`` or ``tuple[X, ...]``.

    Raises:
        ValueError: the message says what it must be.
    """
    if typing.get_origin(hint) is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            parts = [parts]
        return tuple(convert(part, typing.get_args(hint)[0]) for part in parts)
    if hint is bool:
        if isinstance(value, bool):
            return value
        raise ValueError("must be true or false")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"must be {_TYPE_NAMES[hint]}")
    try:
        if hint is int and float(value) != int(float(value)):
            raise ValueError
        return int(float(value)) if hint is int else hint(value)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"must be {_TYPE_NAMES[hint]}") from error


_TYPE_NAMES = {int: "a whole number", float: "a number", str: "a string"}


def check_limits(value: Any, limits: Mapping[str, Any]) -> None:
    """Reject a value outside the limits of its :func:`setting`.

    Args:
        value: a value of the setting's type; every number in a list is checked.
        limits: the metadata of the dataclass field.

    Raises:
        ValueError: the value is out of range; the message says what it must be.
    """
    if not limits:
        return
    low, high = limits["low"], limits["high"]
    for number in value if isinstance(value, tuple) else (value,):
        # Written so that NaN fails too.
        if (low is not None and not number >= low) or (high is not None and not number <= high):
            raise ValueError(f"must be {_range(low, high)}")
    if limits["choices"] and value not in limits["choices"]:
        raise ValueError(f"must be one of {', '.join(limits['choices'])}")
    if limits["least"] and 0 < value < limits["least"]:
        raise ValueError(f"must be 0 or at least {limits['least']}")
    if limits["even"] and value % 2:
        raise ValueError("must be even")


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"
