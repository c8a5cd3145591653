"""TOML, read by the standard library or, before Python 3.11, by its twin ``tomli``."""

from __future__ import annotations

import json
import sys

if sys.version_info >= (3, 11):
    from tomllib import TOMLDecodeError, loads
else:
    from tomli import TOMLDecodeError, loads  # type: ignore[import-not-found, unused-ignore]

__all__ = ["TOMLDecodeError", "loads", "quote"]


def quote(text: str) -> str:
    """A text as a TOML basic string."""
    # JSON's escapes are TOML's, except for DEL, which TOML wants escaped as well.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
