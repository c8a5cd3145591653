"""Stages run once, whatever happens to the process or to the files."""

from __future__ import annotations

import dataclasses
import errno
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


def _nested_record(entry: Path) -> None:
    (entry / "stage.json").write_text('{"schema": 1, "x": ' + "[" * 100_000)


def _record_without_end(entry: Path) -> None:
    (entry / "stage.json").unlink()
    (entry / "stage.json").symlink_to("/dev/zero")


def _keyless_record(entry: Path) -> None:
    record = json.loads((entry / "stage.json").read_text())
    (entry / "stage.json").write_text(json.dumps({**record, "key": "../../x"}))


def _link_as_output(entry: Path) -> None:
    out = entry / "deep" / "out.txt"
    out.rename(entry.parents[1] / "elsewhere.txt")
    out.symlink_to(entry.parents[1] / "elsewhere.txt")


def _link_as_entry(entry: Path) -> None:
    entry.rename(entry.parents[1] / "elsewhere")
    entry.symlink_to(entry.parents[1] / "elsewhere")


def _other_key(entry: Path) -> None:
    record = json.loads((entry / "stage.json").read_text())
    (entry / "stage.json").write_text(json.dumps({**record, "key": "0" * 64}))


@pytest.mark.parametrize(
    "damage",
    [_truncate, _delete, _add, _break_record, _remove_record, _foreign_record, _other_key,
     _nested_record, _record_without_end, _keyless_record, _link_as_output, _link_as_entry],
)  # fmt: skip
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


def test_contents_that_no_stage_writes_are_damage(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    """A project of a stranger: its hashes fit, what they are of does not."""

    def check(directory: Path) -> None:
        if (directory / "deep" / "out.txt").read_text() != "content":
            raise InputError("these are no faces")

    stage = dataclasses.replace(STAGE, check=check)
    assert stage == STAGE and stage.key == STAGE.key
    project.run(STAGE, Writer("foreign"))
    assert project.current("avatar", check) is None
    writer = Writer()
    assert project.run(stage, writer).executed and writer.runs == 1
    assert "these are no faces" in caplog.text
    assert not project.run(stage, writer).executed
    assert project.current("avatar", check) is not None


@pytest.mark.parametrize("text", ["", "../../etc", "x" * 1000, "zz" * 6, "\xff"])
def test_a_senseless_pointer_points_nowhere(project: Project, text: str) -> None:
    run = project.run(STAGE, Writer())
    (project.root / "avatar" / "current").write_text(text, encoding="latin-1")
    assert project.current("avatar") is None
    assert not project.run(STAGE, Writer()).executed
    current = project.current("avatar")
    assert current is not None and current.path == run.path


def test_nothing_is_written_through_links(project: Project, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / (".tmp-" + "0" * 32)).write_text("of somebody else")
    (theirs / "file").write_text("precious")
    (project.root / "avatar").symlink_to(theirs)
    (project.root / "track").mkdir()
    (project.root / "track" / "current").symlink_to(theirs / "file")
    (project.root / "project.toml").unlink()
    (project.root / "project.toml").symlink_to(theirs / "file")
    before = {path: path.read_bytes() for path in theirs.iterdir()}
    with pytest.raises(InputError, match="cannot be read"), project.lock():
        pass
    (project.root / "project.toml").unlink()
    with project.lock(), pytest.raises(InputError, match="a link out of the project"):
        project.run(STAGE, Writer())
    with project.lock():
        project.run(Stage("track", 1), Writer())
        project.set_input("clip", ProjectInput.of(theirs / "file"))
    assert {path: path.read_bytes() for path in theirs.iterdir()} == before
    assert not (project.root / "track" / "current").is_symlink()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_is_said_and_leaves_nothing(project: Project, code: int) -> None:
    def fill(directory: Path) -> None:
        (directory / "half").write_text("half")
        raise OSError(code, os.strerror(code))

    with pytest.raises(InputError, match=r"no space is left .*choose another place with -p"):
        project.run(STAGE, fill)
    assert list((project.root / "avatar").iterdir()) == []


def test_names_that_are_not_utf8_survive(project: Project, tmp_path: Path) -> None:
    portrait = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    portrait.write_bytes(b"abc")
    with project.lock():
        project.set_input("portrait", ProjectInput.of(portrait))
    found = Project.open(project.root).inputs["portrait"]
    assert found.path == portrait.resolve() and found.unchanged()


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
