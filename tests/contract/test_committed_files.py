"""What is committed names no private place and holds nothing that must not be loaded."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Somebody's home directory or work folder, and places from which packages come.
PRIVATE = re.compile(
    r"""(?<![\w.])/(?:home|Users)/(?!(?:me|you|user)\b)[a-z]\w*   # absolute homes
      | (?<![\w./$}])/(?:root|work)/[\w.]+                    # the same as root, and work folders
      | https?://[^\s/"']*(?:pypi|registry|artifact|mirror|\.internal)
      | --(?:extra-)?index-url[ =]\S
      | (?:find-links|PIP_INDEX_URL|PIP_EXTRA_INDEX_URL)\s*=\s*\S
      | (?<!\w)/opt/\w+
    """,
    re.VERBOSE,
)

#: Formats whose loading runs code from the file.
PICKLES = {".pkl", ".pickle", ".pth", ".pt", ".ckpt", ".joblib", ".pyc", ".nbc", ".nbi"}

#: More than any table or picture here needs; footage and checkpoints do not belong in the history.
LARGEST_BYTES = 8 * 1024**2


@pytest.fixture(scope="module")
def committed() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listing.returncode != 0:
        pytest.skip(f"git cannot list the files: {listing.stderr.strip()}")
    paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_no_private_paths_and_no_package_hosts(committed: list[Path]) -> None:
    found = []
    for path in committed:
        if path == Path(__file__):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            if match := PRIVATE.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {match.group()}")
    assert found == []


@pytest.mark.parametrize(
    ("line", "private"),
    [
        ("data = '/home/alice/clips'", True),
        ("open('/root/.cache/x')", True),
        ("see /work/shared", True),
        ("pip install --index-url https://example.org/simple", True),
        ("https://pypi.example.org/simple", True),
        ("cd frame/work/main", False),
        ("HOME=/root", False),
        ("$root/work/x and ../shared/data", False),
        ("https://semver.org", False),
    ],
)
def test_the_pattern_finds_what_it_should(line: str, private: bool) -> None:
    assert bool(PRIVATE.search(line)) is private


def test_no_pickles_caches_or_huge_files(committed: list[Path]) -> None:
    assert [path.name for path in committed if path.suffix in PICKLES] == []
    assert [path.name for path in committed if path.stat().st_size > LARGEST_BYTES] == []
