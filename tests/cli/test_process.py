"""The command as a process: signals before it has loaded, streams that are closed or full."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from talkcli.cli.app import _on_signals

TALKCLI = [sys.executable, "-m", "talkcli"]


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = line.replace("talkcli", f"{sys.executable} -m talkcli")
    return subprocess.run(
        ["sh", "-c", command], cwd=cwd, capture_output=True, text=True, timeout=60, env=env(cwd)
    )


def env(cwd: Path) -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": root, "TALKCLI_CACHE": str(cwd / "cache")}


def not_ignored() -> None:
    """A shell that runs the tests in the background has them ignore Ctrl-C, nohup a hang-up."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_it_loads_is_one_line_and_code_5(tmp_path: Path, number: int) -> None:
    # The library of the command line stands still for a minute as it loads.
    slow = tmp_path / "slow" / "typer.py"
    slow.parent.mkdir()
    slow.write_text(
        "import sys, time\nprint('loading', file=sys.stderr, flush=True)\ntime.sleep(60)\n"
    )
    paths = os.pathsep.join([str(slow.parent), env(tmp_path)["PYTHONPATH"]])
    process = subprocess.Popen(
        [*TALKCLI, "status"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        cwd=tmp_path, env={**env(tmp_path), "PYTHONPATH": paths}, preexec_fn=not_ignored,
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stderr.readline() == "loading\n"
    process.send_signal(number)
    told = process.stderr.read()
    assert process.wait(20) == 5, told
    assert "Traceback" not in told and told.count("talkcli: interrupted") == 1


def test_nohup_stays_nohup(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*TALKCLI, "doctor", "--json"], stdout=subprocess.PIPE, text=True, cwd=tmp_path,
        env=env(tmp_path), preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    time.sleep(1.0)
    process.send_signal(signal.SIGHUP)
    answer, _ = process.communicate(timeout=60)
    assert process.returncode in (0, 4) and json.loads(answer)["command"] == "doctor"


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full", "2>/dev/null <&-"])
def test_progress_that_nobody_can_read_is_no_failure(tmp_path: Path, stderr: str) -> None:
    done = shell(f"talkcli status --json {stderr}", tmp_path)
    assert done.returncode == 0 and json.loads(done.stdout)["projects"] == []
    refused = shell(f"talkcli status nowhere {stderr}", tmp_path)
    assert refused.returncode == 3


def test_an_answer_that_nobody_takes(tmp_path: Path) -> None:
    assert shell("talkcli status --json >&-", tmp_path).returncode == 0
    piped = shell("talkcli status --json | true; talkcli --help | head -1", tmp_path)
    assert piped.returncode == 0 and "Traceback" not in piped.stderr
    full = shell("talkcli status --json >/dev/full", tmp_path)
    assert full.returncode == 3 and "cannot be written to stdout" in full.stderr


@pytest.mark.parametrize("line", ["status --json", "status", "--help", "track --help"])
def test_a_reader_that_is_gone_is_no_failure(tmp_path: Path, line: str) -> None:
    """``| head``, without the shell: the code of a pipe is that of its last command."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*TALKCLI, *line.split()], stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env=env(tmp_path), timeout=60, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_failures_are_objects_for_programs(tmp_path: Path) -> None:
    for line, code in (("track nowhere.mp4 --json", 3), ("track --json", 2)):
        failed = shell(f"talkcli {line}", tmp_path)
        answer = json.loads(failed.stdout)
        assert failed.returncode == answer["code"] == code
        assert answer["error"] and answer["mend"]
    assert "see talkcli track --help" in shell("talkcli track", tmp_path).stderr
    assert "docs/" not in shell("talkcli animate a b --set x=1", tmp_path).stderr


def test_interrupts_that_c_code_prints_are_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    interrupts: list[int] = []
    restore = _on_signals(interrupts)
    try:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        # What PyErr_Print calls, as numpy does when an import of its own fails.
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
        assert capsys.readouterr().err == ""
        sys.excepthook(ValueError, ValueError("anything else"), None)
        assert "ValueError: anything else" in capsys.readouterr().err
    finally:
        restore()
    assert interrupts == [signal.SIGTERM]
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert "KeyboardInterrupt" in capsys.readouterr().err
