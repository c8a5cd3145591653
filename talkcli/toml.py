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
    """What a TOML document says.

    Raises:
        TOMLDecodeError: not TOML, nested too deeply, or with a number of thousands of digits.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise TOMLDecodeError("it is nested too deeply") from error
    except ValueError as error:
        # Python converts no integer of more than 4300 digits.
        raise TOMLDecodeError(str(error)) from error


def quote(text: str) -> str:
    """A text as a TOML basic string."""
    # JSON's escapes are TOML's, except for DEL, which TOML wants escaped as well.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
