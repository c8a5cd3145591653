"""Stages run once, whatever happens to the process or to the files."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from talkcli.errors import InputError
from talkcli.files.atomic import staged_directory, write_text_atomic
from talkcli.project import Project, ProjectInput, Stage, cached_project_root
from talkcli.project.stage import canonical_json, digest_json

STAGE = Stage("avatar", 3, {"views": [1, 2.5], "name": "é"}, {"portrait": "ab" * 32})


class Writer:
    """A stage function that counts its runs."""

    def __init__(self, text: str = "content") -> None:
        self.text = text
        self.runs = 0

    def __call__(self, directory: Path) -> None:
        self.runs += 1
        (directory / "deep").mkdir()
        (directory / "deep" / "out.txt").write_text(self.text)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path / "project")


def test_keys_are_pinned() -> None:
    # A change here means that every stored avatar is built again: raise a stage version instead.
    assert STAGE.key == "b262fe8a4b8cefa79533c631fe5fe0f0f77b64f9c08e68be366b0c1d8dba9d5e"
    value = {"b": 1, "a": [1.0, None, True]}
    assert digest_json(value) == (
        "0b6ab0f46ae115da689170b375044cb9420bee4e8cd12755e9f82007dd31e96d"
    )


def test_canonical_json_has_one_form() -> None:
    assert canonical_json({"b": (1, 2), "a": "ü"}) == '{"a":"\\u00fc","b":[1,2]}'
    with pytest.raises(ValueError):
        canonical_json(float("nan"))


@pytest.mark.parametrize(
    "other",
    [
        Stage("track", 3, STAGE.recipe, STAGE.upstream),
        Stage("avatar", 4, STAGE.recipe, STAGE.upstream),
        Stage("avatar", 3, {"views": [1, 2.5]}, STAGE.upstream),
        Stage("avatar", 3, STAGE.recipe, {"portrait": "ac" * 32}),
    ],
)
def test_every_part_changes_the_key(other: Stage) -> None:
    assert other.key != STAGE.key


def test_second_run_does_not_call_the_function(project: Project) -> None:
    writer = Writer()
    first = project.run(STAGE, writer, recorded={"seed": 7})
    second = Project.open(project.root).run(STAGE, writer)
    assert writer.runs == 1
    assert (first.executed, second.executed) == (True, False)
    assert first.output_hash == second.output_hash
    assert second.path == project.root / "avatar" / STAGE.key[:12]
    assert (second.path / "deep" / "out.txt").read_text() == "content"
    assert (project.root / "avatar" / "current").read_text() == f"{STAGE.key[:12]}\n"
    record = json.loads((second.path / "stage.json").read_text())
    assert record["key"] == STAGE.key
    assert record["run"] == {"seed": 7}
    assert record["outputs"]["deep/out.txt"]["bytes"] == 7
    assert record["versions"]["talkcli"]


def test_current_follows_the_last_run(project: Project) -> None:
    other = Stage("avatar", 3, {}, {})
    project.run(STAGE, Writer())
    project.run(other, Writer("other"))
    current = project.current("avatar")
    assert current is not None and current.key == other.key
    project.run(STAGE, Writer())
    current = project.current("avatar")
    assert current is not None and current.key == STAGE.key
    assert project.stage_names() == ["avatar"]
    assert len(project.entries("avatar")) == 2


def _truncate(entry: Path) -> None:
    (entry / "deep" / "out.txt").write_text("cont")


def _delete(entry: Path) -> None:
    (entry / "deep" / "out.txt").unlink()


def _add(entry: Path) -> None:
    (entry / "stray.txt").write_text("stray")


def _break_record(entry: Path) -> None:
    (entry / "stage.json").write_text("{")


def _remove_record(entry: Path) -> None:
    (entry / "stage.json").unlink()


def _foreign_record(entry: Path) -> None:
    (entry / "stage.json").write_text('{"schema": 99}')


def _other_key(entry: Path) -> None:
    record = json.loads((entry / "stage.json").read_text())
    (entry / "stage.json").write_text(json.dumps({**record, "key": "0" * 64}))


@pytest.mark.parametrize(
    "damage",
    [_truncate, _delete, _add, _break_record, _remove_record, _foreign_record, _other_key],
)
def test_damaged_entry_is_a_warning_and_made_again(
    project: Project, caplog: pytest.LogCaptureFixture, damage
) -> None:
    writer = Writer()
    damage(project.run(STAGE, writer).path)
    with caplog.at_level(logging.WARNING):
        again = project.run(STAGE, writer)
    assert writer.runs == 2 and again.executed
    assert "damaged" in caplog.text
    assert not project.run(STAGE, writer).executed
    assert not list(project.root.rglob(".tmp-*"))


def test_failed_stage_leaves_nothing(project: Project) -> None:
    def fail(directory: Path) -> None:
        (directory / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        project.run(STAGE, fail)
    assert list((project.root / "avatar").iterdir()) == []
    assert project.current("avatar") is None


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


def test_inputs_survive_and_change(project: Project, tmp_path: Path) -> None:
    portrait = tmp_path / 'a "quoted" \\ ü\x7f.png'
    portrait.write_bytes(b"abc")
    source = ProjectInput.of(portrait)
    assert source.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    project.set_input("portrait", source)
    assert Project.open(project.root).inputs == {"portrait": source}
    portrait.write_bytes(b"abcd")
    project.set_input("portrait", ProjectInput.of(portrait))
    assert Project.open(project.root).inputs["portrait"].size == 4


def test_newer_schema_is_refused_with_the_reason(project: Project) -> None:
    (project.root / "project.toml").write_text("schema = 2\n[inputs]\nshape = 'unknown'\n")
    with pytest.raises(InputError, match="project schema 2, this talkcli reads up to 1; upgrade"):
        Project.create(project.root)


@pytest.mark.parametrize("text", ["", "schema = ", "schema = 1\n[inputs.portrait]\npath = 'x'\n"])
def test_unreadable_project_file_says_what_to_do(project: Project, text: str) -> None:
    (project.root / "project.toml").write_text(text)
    with pytest.raises(InputError, match=r"cannot be read.*delete that file"):
        Project.open(project.root)


def test_no_project_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="talkcli reconstruct PORTRAIT -p"):
        Project.open(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        Project.create(tmp_path / "file")
    with pytest.raises(InputError, match="cannot be written"):
        Project.create(tmp_path / "file" / "below")


def test_atomic_text_keeps_the_old_one_on_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "text"
    write_text_atomic(path, "old")
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        write_text_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_staged_directory_replaces_a_file(tmp_path: Path) -> None:
    final = tmp_path / "entry"
    final.write_text("a file where a directory belongs")
    with staged_directory(final) as directory:
        (directory / "x").write_text("x")
    assert (final / "x").read_text() == "x"
    assert list(tmp_path.iterdir()) == [final]


def test_cached_projects_lie_in_the_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALKCLI_CACHE", str(tmp_path / "cache"))
    root = cached_project_root("0123456789abcdef" * 4)
    assert root == tmp_path / "cache" / "projects" / "0123456789abcdef"


def test_entries_are_sorted_by_age(project: Project) -> None:
    older = project.run(STAGE, Writer()).path
    newer = project.run(Stage("avatar", 9), Writer()).path
    os.utime(older / "stage.json", (time.time() - 60,) * 2)
    assert project.entries("avatar") == [older, newer]
