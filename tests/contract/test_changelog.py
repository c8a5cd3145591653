"""The changelog is versioned, in order, and speaks of the version that the package has."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

from talkcli import __version__

ROOT = Path(__file__).parents[2]
_HEADING = re.compile(r"## (\d+)\.(\d+)\.(\d+) \((unreleased|\d{4}-\d{2}-\d{2})\)")


def sections() -> list[tuple[tuple[int, int, int], str]]:
    """Version and date of every section, in the order of the file."""
    found = []
    for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            match = _HEADING.fullmatch(line)
            assert match, f"not '## X.Y.Z (date)' or '## X.Y.Z (unreleased)': {line}"
            major, minor, patch = (int(match[n]) for n in (1, 2, 3))
            found.append(((major, minor, patch), match[4]))
    return found


def test_the_version_of_the_package_has_a_section() -> None:
    assert __version__ in {".".join(map(str, version)) for version, _ in sections()}


def test_the_newest_version_comes_first_and_only_it_may_be_unreleased() -> None:
    versions = [version for version, _ in sections()]
    dates = [date for _, date in sections()]
    assert versions == sorted(set(versions), reverse=True)
    assert "unreleased" not in dates[1:]
    released = [datetime.date.fromisoformat(date) for date in dates if date != "unreleased"]
    assert released == sorted(released, reverse=True)


def test_the_citation_names_the_version_of_the_package() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(rf"^version: {re.escape(__version__)}$", text, re.MULTILINE)
