"""From where an avatar can be trusted, in a file beside it that every command can read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from talkcli.avatar import TrustedRange
from talkcli.files.check import read_json

_FILE = "trusted.json"


def save_trusted(directory: Path, trusted: TrustedRange) -> None:
    """Write the range into a directory that nothing reads yet, such as that of a new stage."""
    (directory / _FILE).write_text(json.dumps(trusted_json(trusted)) + "\n", encoding="utf-8")


def load_trusted(directory: Path) -> TrustedRange | None:
    """The range of the avatar in a directory; None if it has none that can be read."""
    try:
        known = read_json(directory / _FILE)
        ends = [tuple(float(number) for number in known[name]) for name in ("yaw_deg", "pitch_deg")]
        (left, right), (down, up) = ends
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return TrustedRange((left, right), (down, up))


def trusted_json(trusted: TrustedRange | None) -> dict[str, Any] | None:
    """The range as JSON values."""
    if trusted is None:
        return None
    return {"yaw_deg": list(trusted.yaw), "pitch_deg": list(trusted.pitch)}
