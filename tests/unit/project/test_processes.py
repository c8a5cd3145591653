"""Processes that share a project, wait for it, or are killed in it, lose nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from talkcli.errors import InputError
from talkcli.project import Project
from tests.support.projects import STAGE, Writer

_KILLED = """
import os, signal, sys
from pathlib import Path
from talkcli.project import Project, Stage
import talkcli.project.store as store

project = Project.create(Path(sys.argv[1]))
moment = sys.argv[2]

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

def write(directory):
    (directory / "deep").mkdir()
    (directory / "deep" / "out.txt").write_text("cont")
    if moment == "inside":
        die()
    (directory / "deep" / "out.txt").write_text("content")

if moment == "before record":
    store.make_record = die
if moment == "before pointer":
    store.write_text_atomic = die
if moment == "before rename":
    os.rename = die
with project.lock():
    recipe = {"views": [1, 2.5], "name": "é"}
    project.run(Stage("avatar", 3, recipe, {"portrait": "ab" * 32}), write)
"""


@pytest.mark.parametrize("moment", ["inside", "before record", "before rename", "before pointer"])
def test_kill_at_any_moment_is_resumed(tmp_path: Path, moment: str) -> None:
    root = tmp_path / "project"
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(root), moment], check=False)
    assert killed.returncode == -signal.SIGKILL
    writer = Writer()
    project = Project.create(root)
    with project.lock(wait_s=0):
        run = project.run(STAGE, writer)
        # Only what was renamed already may be reused.
        assert run.executed == (moment != "before pointer")
        assert not list(root.rglob(".tmp-*"))
    assert (run.path / "deep" / "out.txt").read_text() == "content"
    current = project.current("avatar")
    assert current is not None and current.key == STAGE.key


def test_lock_is_for_one_process_and_names_it(project: Project) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom talkcli.project import Project\n"
        "with Project.open(Path(sys.argv[1])).lock():\n    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(project.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        told: list[str] = []
        with (
            pytest.raises(InputError, match=f"in use by process {holder.pid} since"),
            project.lock(wait_s=0.2, on_wait=told.append),
        ):
            pass
        assert len(told) == 1 and str(holder.pid) in told[0]
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    # The name of the dead process is still in the file: it must not keep anybody out.
    assert str(holder.pid) in (project.root / ".lock").read_text()
    with project.lock(wait_s=0):
        assert str(os.getpid()) in (project.root / ".lock").read_text()
    assert (project.root / ".lock").read_text() == ""


def test_leftovers_are_swept_and_other_files_kept(project: Project) -> None:
    stale = project.root / "avatar" / (".tmp-" + "0" * 32)
    stale.mkdir(parents=True)
    (stale / "half").write_text("half")
    (project.root / (".tmp-" + "1" * 32)).write_text("half")
    mine = project.root / ".tmp-mine"
    mine.write_text("of the user")
    with project.lock():
        pass
    assert not stale.exists()
    assert [path.name for path in project.root.glob(".tmp-*")] == [mine.name]


_START = """
import sys, time
from pathlib import Path
from talkcli.project import Project, ProjectInput, Stage

root, name, begin = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
source = ProjectInput.of(Path(sys.executable))
time.sleep(max(0.0, begin - time.time()))
project = Project.create(root)
with project.lock():
    run = project.run(Stage("avatar", 1), lambda folder: (folder / "out").write_text("made"))
    project.set_input(name, source)
print(run.executed)
"""


def test_four_processes_that_begin_a_project_at_once_lose_nothing(tmp_path: Path) -> None:
    for turn in range(3):
        root = tmp_path / f"project{turn}"
        begin = str(time.time() + 2)
        runs = [
            subprocess.Popen(
                [sys.executable, "-c", _START, str(root), f"input{k}", begin],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for k in range(4)
        ]
        told = [run.communicate(timeout=120) for run in runs]
        assert [err for _, err in told] == [""] * 4
        assert sorted(out.strip() for out, _ in told) == ["False"] * 3 + ["True"]
        assert sorted(Project.open(root).inputs) == [f"input{k}" for k in range(4)]
        assert not list(root.rglob(".tmp-*"))
