"""Help must come at once: the light part of the package loads none of the heavy libraries."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("av", "cv2", "gsplat", "jax", "librosa", "matplotlib", "mediapipe", "numba", "scipy",
         "skimage", "sklearn", "torch")  # fmt: skip

REPORT = f"import sys; print('loaded:', [name for name in {HEAVY!r} if name in sys.modules])"


def loaded_by(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "module",
    ["talkcli", "talkcli.types", "talkcli.errors", "talkcli.runtime", "talkcli.pipeline.doctor",
     "talkcli.cli.app", "talkcli.cli.doctor"],
)  # fmt: skip
def test_import_is_light(module: str) -> None:
    assert loaded_by(f"import {module}\n{REPORT}") == "loaded: []"


@pytest.mark.parametrize("arguments", [["--help"], ["animate", "--help"], ["--version"]])
def test_command_line_is_light(arguments: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['talkcli', *{arguments!r}]\n"
        "from talkcli.cli.app import main\n"
        "try:\n    main()\n"
        "except SystemExit as leaving:\n    assert not leaving.code, leaving.code\n"
        f"{REPORT}"
    )
    assert loaded_by(code) == "loaded: []"


def test_an_avatar_that_is_there_starts_without_what_only_building_needs() -> None:
    # A tenth of a second of every start.
    code = (
        "import sys, talkcli.engines.portrait.avatar, talkcli.pipeline.video.scene\n"
        "print('loaded:', [m for m in ('scipy.ndimage', 'scipy.spatial') if m in sys.modules])"
    )
    assert loaded_by(code) == "loaded: []"
