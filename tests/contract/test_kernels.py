"""Nothing compiles after set-up: the list of needed kernels is complete, and holds no others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from talkcli.kernels import prepare

ROOT = Path(__file__).parents[2]
ADVICE = "run python -m scripts.list_kernels"


def check() -> dict[str, list[str]]:
    command = [sys.executable, "-m", "scripts.list_kernels", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_videos_need_no_other_kernels_than_those_listed() -> None:
    """With views, other backgrounds, curves, pictures, and sizes small, large and odd."""
    assert check() == {"compiled": [], "stale": []}, ADVICE


@pytest.mark.slow
def test_set_up_compiles_all_of_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In an empty cache, so that no kernel left by other runs stands in for one."""
    monkeypatch.setenv("TALKCLI_CACHE", str(tmp_path))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    command = [sys.executable, "-m", "talkcli.kernels.prepare"]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    total = len(prepare.needed())
    assert first.returncode == 0 and f"{total}/{total}" in first.stderr
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (again.returncode, again.stderr) == (0, "")
    assert check() == {"compiled": [], "stale": []}, ADVICE
