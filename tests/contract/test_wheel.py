"""An installed wheel, with no checkout in sight, finds its recipes and its data."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling, which builds the wheel, is not installed (pip install '.[dev]')")
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    (built,) = folder.glob("talkcli-*.whl")
    return built


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr


def test_the_wheel_holds_every_recipe_and_table_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {f"talkcli/recipes/{path.name}" for path in (ROOT / "recipes").glob("*.toml")}
    shipped |= {f"talkcli/data/{path.name}" for path in (ROOT / "talkcli/data").iterdir()}
    assert shipped <= names
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"talkcli"}


def test_an_installed_wheel_finds_its_recipes_and_data(wheel: Path, tmp_path: Path) -> None:
    target, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip("install", "--no-deps", "--target", str(target), str(wheel))
    code = (
        "import talkcli.config as config, talkcli.face.model, talkcli.speech.model\n"
        "print(talkcli.__file__)\n"
        "for name in config.shipped_recipes(): config.load_recipe(name); print(name)\n"
        "talkcli.face.model.FaceModel.load()\n"
        "talkcli.speech.model.load_speech_model()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(target)}
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    place, *recipes = run.stdout.splitlines()
    assert Path(place).is_relative_to(target)
    assert recipes == sorted(path.stem for path in (ROOT / "recipes").glob("*.toml"))
