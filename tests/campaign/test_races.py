"""Four processes at once on one project: each does its work or waits, none destroys another's."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from talkcli.project import Project
from tests.support import campaign
from tests.support.campaign import Desk, Ended, ended, finished_stages, hidden, length, make_desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return make_desk(tmp_path / "desk", campaign.DUMMY, 0.4, frame_s=0.01)


def at_once(desk: Desk, *commands: list[object]) -> list[Ended]:
    """Run commands at the same time."""
    processes: list[subprocess.Popen[str]] = []
    try:
        processes += [desk.start(*command, "--json") for command in commands]
        return [ended(process) for process in processes]
    finally:
        for process in processes:
            process.kill()


def race(desk: Desk, project: Path) -> list[Ended]:
    """Two builds and two videos begin one new project."""
    build = ["reconstruct", desk.portrait, "-p", project]
    speak = ["animate", desk.portrait, desk.speech, "-p", project, "-o"]
    videos = [desk.folder / f"{project.stem}{k}.mp4" for k in range(2)]
    told = at_once(desk, build, [*speak, videos[0]], build, [*speak, videos[1]])
    assert [run.code for run in told] == [0] * 4, [run.err for run in told]
    assert not any("cannot be" in run.err or "damaged" in run.err for run in told)
    # Each stage was made by one of them and reused by the others.
    made = Counter(name for run in told for name, executed in run.made.items() if executed)
    assert made == {"portrait": 1, "avatar": 1}
    assert finished_stages(project) == {"portrait", "avatar"}
    assert list(Project.open(project).inputs) == ["portrait"]
    assert [length(video) for video in videos] == [desk.frames] * 2
    assert hidden(desk.folder) == []
    return told


def test_four_processes_begin_one_project(desk: Desk) -> None:
    told = race(desk, desk.folder / "new.talk")
    waited = sum("waiting for process" in run.err for run in told)
    campaign.report(f"1 race of 4 processes, lost = 0; {waited} waited")


def test_four_processes_want_one_output(desk: Desk) -> None:
    project, video = desk.folder / "new.talk", desk.folder / "video.mp4"
    assert desk.run("reconstruct", desk.portrait, "-p", project).code == 0
    told = at_once(desk, *[["drive", project, desk.speech, "-o", video]] * 4)
    # Nobody asked for -y: whoever comes second is refused, even at the last moment.
    assert sorted(run.code for run in told) == [0, 3, 3, 3], [run.err for run in told]
    assert all("already exists" in run.err for run in told if run.code)
    assert length(video) == desk.frames and hidden(desk.folder) == []


@pytest.mark.slow
def test_ten_races(desk: Desk) -> None:
    waited = 0
    for turn in range(10):
        told = race(desk, desk.folder / f"new{turn}.talk")
        waited += sum("waiting for process" in run.err for run in told)
    campaign.report(f"10 races of 4 processes, lost = 0; {waited} waited")
    assert waited, "they never met: the race shows nothing"


@pytest.mark.slow
def test_four_processes_replace_one_output(desk: Desk) -> None:
    video = desk.folder / "video.mp4"
    speak = ["animate", desk.portrait, desk.speech, "-o", video, "-y"]
    for _ in range(3):
        told = at_once(desk, speak, speak, speak, speak)
        assert [run.code for run in told] == [0] * 4, [run.err for run in told]
        assert length(video) == desk.frames and hidden(desk.folder) == []
