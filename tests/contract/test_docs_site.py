"""The documentation builds without a broken link, and its pages ask no other host for anything."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow

#: Attributes through which a page loads something by itself; links to click on are not among them.
_LOADED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//[^>]*>
      | <link\b(?![^>]*rel=["']?canonical)[^>]*\bhref=["']?(?:https?:)?//[^>]*>
      | @import\s+(?:url\()?["']?(?:https?:)?//[^;]*
      | url\(["']?(?:https?:)?//[^)]*\)""",
    re.VERBOSE,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    for name in ("mkdocs", "material", "mkdocstrings"):
        if importlib.util.find_spec(name) is None:
            pytest.skip("the docs extra is not installed (make docs installs it)")
    folder = tmp_path_factory.mktemp("docs") / "site"
    run = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


def test_every_page_is_there(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in ROOT.glob("docs/**/*.md")}
    built = {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}
    assert pages <= built


def test_pages_load_nothing_from_other_hosts(site: Path) -> None:
    found = [
        f"{path.relative_to(site)}: {match.group()[:100]}"
        for path in sorted(site.rglob("*"))
        if path.suffix in (".html", ".css")
        for match in _LOADED.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    ['<script src="https://example.org/a.js">', '<link rel=stylesheet href="//example.org/a.css">',
     "@import url(https://example.org/a.css);", "url('//example.org/font.woff2')"],
)  # fmt: skip
def test_what_is_loaded_from_elsewhere_is_seen(text: str) -> None:
    assert _LOADED.search(text)
