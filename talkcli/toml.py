"""TOML, read by the standard library or, before Python 3.11, by its twin ``tomli``."""

from __future__ import annotations

import json
import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

TOMLDecodeError = tomllib.TOMLDecodeError


def loads(text: str) -> dict[str, Any]:
    """Parse a TOML document.

    Raises:
        TOMLDecodeError: not TOML, nested too deeply, or with a number that has thousands of digits.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise TOMLDecodeError("it is nested too deeply") from error
    except ValueError as error:
        # Python does not convert integers of more than 4300 digits.
        raise TOMLDecodeError(str(error)) from error


def quote(text: str) -> str:
    """Quote a text as a TOML basic string."""
    # TOML has the same escapes as JSON, except that DEL must be escaped as well.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
