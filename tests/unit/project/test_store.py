"""Stages run once, inputs are remembered, and what cannot be read or written is said."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path

import pytest

from talkcli.errors import InputError
from talkcli.project import Project, ProjectInput, Stage, cached_project_root
from tests.support.projects import STAGE, Writer


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


def test_failed_stage_leaves_nothing(project: Project) -> None:
    def fail(directory: Path) -> None:
        (directory / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        project.run(STAGE, fail)
    assert list((project.root / "avatar").iterdir()) == []
    assert project.current("avatar") is None


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
