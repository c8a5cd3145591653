"""The main job needs no more than ``requirements-smallest.txt``: neither torch nor jax."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from talkcli import toml
from tests.support import smallest

pytestmark = pytest.mark.skipif(
    version("typer") >= "0.29", reason="the environment is older than pyproject.toml: make setup"
)
ASSETS = smallest.ROOT / "assets"
CURVE = "Timecode,BlendShapeCount,JawOpen\n00:00:00:00.0,1,0.1\n00:00:01:00.0,1,0.6\n"


def talkcli(*words: object, code: int = 0) -> str:
    command = [sys.executable, "-m", "tests.support.smallest", *map(str, words)]
    done = subprocess.run(
        command, cwd=smallest.ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An avatar that was built and made to speak."""
    folder = tmp_path_factory.mktemp("smallest") / "me.talk"
    inputs = (ASSETS / "portrait.png", ASSETS / "speech.wav")
    made = folder.with_name("talk.mp4")
    answer = json.loads(
        talkcli("animate", *inputs, "--size", 96, "--fps", 2, "--json", "-p", folder, "-o", made)
    )
    assert [stage["status"] for stage in answer["stages"]] == ["executed"] * 2
    assert made.stat().st_size > 1000
    return folder


def test_a_stored_avatar_follows_curves_and_is_drawn(project: Path) -> None:
    curve = project.with_name("curve.csv")
    curve.write_text(CURVE)
    for command, *words in (
        ("drive", project, "--driver", curve, "--views", "-20,20"),
        ("render", project, "--expression", "jawOpen=.5"),
    ):
        result = project.with_name(f"{command}{'.png' if command == 'render' else '.mp4'}")
        talkcli(command, *words, "--size", 96, "-q", "-o", result)
        assert result.stat().st_size > 1000


def test_what_is_missing_for_other_jobs_is_said(project: Path) -> None:
    told = talkcli("export", project, "-o", project.with_name("head.ply"), "--json", code=4)
    assert "torch" in json.loads(told)["error"]


def test_nothing_else_can_be_imported_there() -> None:
    finder = smallest.OnlyListed({"torch": ["torch"], "cv2": ["OpenCV_Contrib.Python"]}, {"numpy"})
    with pytest.raises(ModuleNotFoundError, match="torch is not in"):
        finder.find_spec("torch.nn", None)
    allowed = smallest.OnlyListed({"cv2": ["OpenCV_Contrib.Python"]}, smallest.listed())
    allowed.find_spec("cv2", None)


def test_versions_are_those_of_the_default_install() -> None:
    text = (smallest.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wanted = toml.loads(text)["project"]["dependencies"]
    lines = smallest.LIST.read_text(encoding="utf-8").splitlines()
    for line in wanted:
        name = smallest.normal(line.partition(">=")[0])
        same = [own for own in lines if own.partition(">=")[0] == name]
        if same:
            assert same[0].partition(">=")[2] == line.partition(">=")[2], line
