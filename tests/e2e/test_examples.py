"""The scripts in ``examples/`` do what their first line says, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PORTRAIT, SPEECH = ROOT / "assets" / "portrait.png", ROOT / "assets" / "speech.wav"

pytestmark = pytest.mark.slow


def run(script: str, folder: Path, *arguments: Path) -> str:
    """What the script prints when it is started in ``folder``."""
    command = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def hello(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The video that the first example makes, which the last one tracks."""
    folder = tmp_path_factory.mktemp("hello")
    assert "hello.mp4: 191 frames" in run("hello.py", folder, PORTRAIT, SPEECH)
    assert names(folder) == {"hello.mp4"}
    return folder / "hello.mp4"


def test_hello(hello: Path) -> None:
    # An empty video of this length and size has about 5 KB.
    assert hello.stat().st_size > 20_000


def test_views_to_pngs(tmp_path: Path) -> None:
    from talkcli.media.image import read_image

    run("views_to_pngs.py", tmp_path, PORTRAIT)
    views = {f"view_{yaw}.png" for yaw in ("-30", "-15", "0", "+15", "+30")}
    assert names(tmp_path) == {*views, "views.talk"}
    assert {read_image(tmp_path / name).shape for name in views} == {(512, 512, 4)}


def test_frames_to_numpy(tmp_path: Path) -> None:
    lines = run("frames_to_numpy.py", tmp_path, PORTRAIT, SPEECH).splitlines()
    assert [line.split(":")[0] for line in lines] == [f"second {number}" for number in range(1, 8)]
    # A head that speaks moves; the picture around it stands still.
    shares = [float(line.split()[2].rstrip("%")) for line in lines]
    assert 1 < max(shares) < 70


def test_clip_to_arkit(hello: Path, tmp_path: Path) -> None:
    first, *lively = run("clip_to_arkit.py", tmp_path, hello).splitlines()
    assert first.startswith("191 frames, 7.6")
    assert len(lively) == 5
    assert names(tmp_path) == {"curves.csv"}


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in text] == []
