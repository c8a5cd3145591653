"""Entries, records, pointers and links that no stage left so are made again, or refused."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

import pytest

from talkcli.errors import InputError
from talkcli.project import Project, ProjectInput, Stage
from tests.support.projects import STAGE, Writer


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
