from __future__ import annotations

import builtins
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from talkcli.cli.app import run
from talkcli.pipeline import doctor
from talkcli.pipeline.doctor import Check


def test_everything_works_where_the_tests_run() -> None:
    checks = doctor.run_checks()
    assert [check.name for check in checks] == [
        "python", "torch", "cuda", "numba", "opencv", "mediapipe", "landmarks",
        "reading", "writing", "data files", "cache",
    ]  # fmt: skip
    assert doctor.default_path_works(checks), [c for c in checks if c.status == "fail"]


def test_opencv_without_libgl_is_mended_by_one_pip_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real_import = builtins.__import__

    def without_libgl(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_libgl)
    check = doctor._opencv()
    assert check.status == "fail"
    assert "libGL.so.1" in check.detail
    assert check.fix is not None
    assert check.fix.startswith(f"{sys.executable} -m pip install --force-reinstall --no-deps")
    assert "opencv-contrib-python-headless==4." in check.fix


def test_an_ffmpeg_that_cannot_encode_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\necho 'Unknown encoder libx264' >&2\nexit 8\n")
    broken.chmod(0o755)
    monkeypatch.setenv("TALKCLI_FFMPEG", str(broken))
    check = doctor._writing()
    assert check.status == "fail"
    assert check.detail == f"{broken}: Unknown encoder libx264"
    monkeypatch.setenv("TALKCLI_FFMPEG", str(tmp_path / "nothing"))
    assert doctor._writing().status == "fail"


def test_a_check_that_breaks_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks() -> Check:
        raise ZeroDivisionError("unforeseen")

    def works() -> Check:
        return Check("second", "ok", "fine")

    monkeypatch.setattr(doctor, "_CHECKS", (("first", breaks), ("second", works)))
    first, second = doctor.run_checks()
    assert first == Check("first", "fail", "ZeroDivisionError: unforeseen")
    assert second.status == "ok"


def test_a_damaged_data_file_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "face_model.safetensors").write_bytes(b"cut off")
    (tmp_path / "people.json").write_text("{", encoding="utf-8")
    files = {"face": "face_model.safetensors", "speech": "gone.safetensors", "x": "people.json"}
    monkeypatch.setattr(doctor, "DATA", tmp_path)
    monkeypatch.setattr(doctor, "SHIPPED", files)
    check = doctor._shipped_files()
    assert check.status == "fail"
    assert check.detail.endswith("face_model.safetensors, gone.safetensors, people.json")
    monkeypatch.undo()
    assert doctor._shipped_files().status == "ok"


@pytest.mark.parametrize(("free_gb", "status"), [(100.0, "ok"), (1.0, "warn"), (0.1, "fail")])
def test_disk_space(
    free_gb: float, status: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Usage:
        free = int(free_gb * 1024**3)

    monkeypatch.setenv("TALKCLI_CACHE", str(tmp_path))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: Usage)
    assert doctor._cache().status == status
    assert list(tmp_path.iterdir()) == []


def test_json_is_one_object_and_a_warning_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = [Check("torch", "ok", "2.x"), Check("cuda", "warn", "no gsplat", "pip install it")]
    monkeypatch.setattr(doctor, "run_checks", lambda: checks)
    assert run(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True
    assert told["checks"][1] == {
        "name": "cuda", "status": "warn", "detail": "no gsplat", "fix": "pip install it",
    }  # fmt: skip


def test_failure_is_exit_code_4_and_each_command_is_printed_once_unwrapped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fix = "python -m pip install " + "a-long-name " * 20
    checks = [Check(name, "fail", "libGL", fix) for name in ("opencv", "mediapipe")]
    monkeypatch.setattr(doctor, "run_checks", lambda: checks)
    assert run(["doctor"]) == 4
    told = capsys.readouterr()
    assert told.out.count(f"To fix opencv and mediapipe:\n  {fix}\n") == 1
    assert told.err.startswith("talkcli: animate cannot run here (opencv, mediapipe)")
    assert "Traceback" not in told.err
    assert run(["doctor", "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_quiet_shows_only_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = [Check("torch", "ok", "2.x"), Check("cuda", "warn", "no gsplat", "pip install it")]
    monkeypatch.setattr(doctor, "run_checks", lambda: checks)
    assert run(["doctor", "-q"]) == 0
    told = capsys.readouterr().out
    assert "torch" not in told
    assert "no gsplat" in told


def test_landmark_model_of_the_user_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def check() -> doctor.Check:
        return next(check for check in doctor.run_checks() if check.name == "landmarks")

    monkeypatch.delenv("TALKCLI_FACE_LANDMARKER", raising=False)
    assert check().status == "ok" and "TALKCLI_FACE_LANDMARKER" in check().detail
    monkeypatch.setenv("TALKCLI_FACE_LANDMARKER", str(tmp_path / "missing.task"))
    assert check().status == "warn" and "missing.task" in check().detail
