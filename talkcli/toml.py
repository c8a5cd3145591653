"""TOML, read by the standard library or, before Python 3.11, by its twin ``tomli``."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

TOMLDecodeError = tomllib.TOMLDecodeError

#: A key of this many parts. The time to parse one grows with their square: 32,000, which fit
#: into 64 KiB, take 19 s.
_LONG_KEY = re.compile(r"""(?:["'\w-]{1,64}[ \t]*\.[ \t]*){200}""")


def loads(text: str) -> dict[str, Any]:
    """Parse a TOML document.

    Raises:
        TOMLDecodeError: not TOML, nested too deeply, or with a number that has thousands of digits.
    """
    if _LONG_KEY.search(text):
        raise TOMLDecodeError("it is nested too deeply")
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
