"""``make setup`` decides without pip whether there is something to do, and says what is missing."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[3] / "scripts"


@pytest.fixture
def setup_script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script with a checkout of its own in which pip is never run."""
    spec = importlib.util.spec_from_file_location("setup_script", SCRIPTS / "setup.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "LEAST_FREE_BYTES", 0)
    monkeypatch.setattr(sys, "argv", ["setup.py", ".venv"])
    monkeypatch.delenv("TORCH", raising=False)

    def create(venv: Path) -> Path:
        venv.mkdir(exist_ok=True)
        return Path(sys.executable)

    monkeypatch.setattr(module, "create_environment", create)
    monkeypatch.setattr(module, "use_headless_opencv", lambda python, log: None)
    return module


@pytest.fixture
def pip_calls(setup_script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(
        setup_script, "pip", lambda python, *arguments, log: calls.append(arguments)
    )
    return calls


def test_second_call_installs_nothing(
    setup_script: ModuleType, pip_calls: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert setup_script.main() == 0
    assert pip_calls == [("install", "--editable", ".[dev]")]
    capsys.readouterr()
    assert setup_script.main() == 0
    assert len(pip_calls) == 1
    assert capsys.readouterr().out == ""


def test_changed_requirements_are_installed(
    setup_script: ModuleType, pip_calls: list[tuple[str, ...]], tmp_path: Path
) -> None:
    setup_script.main()
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    setup_script.main()
    assert len(pip_calls) == 2


def test_torch_wish_is_kept_by_later_calls_without_one(
    setup_script: ModuleType, pip_calls: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH", "torch==2.6 --no-deps")
    setup_script.main()
    assert pip_calls[0] == ("install", "torch==2.6", "--no-deps")
    monkeypatch.delenv("TORCH")
    setup_script.main()
    assert len(pip_calls) == 2
    monkeypatch.setenv("TORCH", "torch==2.7")
    setup_script.main()
    assert pip_calls[2] == ("install", "torch==2.7")


def test_a_failed_step_leaves_no_stamp(
    setup_script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*arguments: object, **options: object) -> None:
        raise setup_script.SetupError("no network")

    monkeypatch.setattr(setup_script, "pip", fails)
    assert setup_script.main() == 4
    assert capsys.readouterr().err == "setup: no network\n"
    assert setup_script.read_stamp(tmp_path / ".venv") == ("", "", "")


def test_little_disk_space_is_said_before_anything_is_made(
    setup_script: ModuleType,
    pip_calls: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(setup_script, "LEAST_FREE_BYTES", 2**62)
    assert setup_script.main() == 4
    assert "4 GB are needed" in capsys.readouterr().err
    assert not (tmp_path / ".venv").exists()
    assert pip_calls == []


@pytest.mark.slow
def test_a_copied_environment_is_made_anew(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("setup_script", SCRIPTS / "setup.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    venv = tmp_path / ".venv"
    python = module.create_environment(venv)
    (venv / "marker").touch()
    assert module.create_environment(venv) == python
    assert (venv / "marker").exists()
    (venv / module.STAMP).write_text("/some/other/checkout\nstate\n")
    module.create_environment(venv)
    assert not (venv / "marker").exists()


def test_without_a_usable_python_the_message_names_the_versions(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    run = subprocess.run(
        ["sh", SCRIPTS / "setup.sh", tmp_path / ".venv"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHON": str(old)},
    )
    assert run.returncode == 4
    assert "install Python 3.10, 3.11 or 3.12" in run.stderr
