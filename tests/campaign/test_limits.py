"""Full disks, limits on files, streams that take nothing: documented codes, nothing half-written.

What lies there keeps its bytes, no hidden file stays, and once there is room again the same
command succeeds.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import campaign
from tests.support.campaign import (
    Desk,
    Ended,
    finished_stages,
    hidden,
    length,
    make_desk,
    small_disk,
)

REFUSED, INTERRUPTED = 3, 5


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return make_desk(tmp_path / "desk", campaign.DUMMY, 2.0)


def largest_file(limit: int) -> Callable[[], None]:
    """As ``ulimit -f`` in the shell that starts the command."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def refused(told: Ended) -> None:
    """One line that says that there is no room, and the code for it."""
    assert told.code == REFUSED, told.err
    lines = [line for line in told.err.splitlines() if line.startswith("talkcli: ")]
    assert len(lines) == 1 and ("space" in lines[0] or "full" in lines[0]), told.err
    assert "Traceback" not in told.err


@pytest.fixture
def video(desk: Desk) -> Path:
    """A video that must survive; the project beside it is whole."""
    video = desk.folder / "video.mp4"
    made = desk.run("animate", desk.portrait, desk.speech, "-p", "a.talk", "-o", video)
    assert made.code == 0, made.err
    return video


@pytest.mark.parametrize("limit", [0, 40, 4096])
def test_limit_on_files_while_a_video_is_written(desk: Desk, video: Path, limit: int) -> None:
    before = video.read_bytes()
    assert limit < len(before)
    again = ["drive", "a.talk", desk.speech, "-o", video, "-y"]
    refused(desk.run(*again, prepare=largest_file(limit)))
    assert video.read_bytes() == before and hidden(desk.folder) == []
    assert finished_stages(desk.folder / "a.talk") == {"portrait", "avatar"}
    assert desk.run(*again).code == 0 and length(video) == desk.frames


@pytest.mark.parametrize("limit", [0, 40, 200, 3000])
def test_limit_on_files_while_stages_are_written(desk: Desk, limit: int) -> None:
    project = desk.folder / "b.talk"
    build = ["reconstruct", desk.portrait, "-p", project]
    refused(desk.run(*build, prepare=largest_file(limit)))
    assert hidden(desk.folder) == []
    finished_stages(project)
    assert desk.run(*build).code == 0
    assert finished_stages(project) == {"portrait", "avatar"}


@pytest.mark.parametrize("kilobytes", [4, 12, 24])
def test_full_disk_under_a_project(desk: Desk, kilobytes: int) -> None:
    with small_disk(desk.folder / "disk", kilobytes) as disk:
        build = ["reconstruct", desk.portrait, "-p", disk / "b.talk"]
        refused(desk.run(*build))
        assert hidden(disk) == []
        finished_stages(disk / "b.talk")


def test_full_disk_under_a_video(desk: Desk, video: Path) -> None:
    with small_disk(desk.folder / "disk", 16) as disk:
        kept = disk / "kept.mp4"
        kept.write_bytes(b"mine")
        refused(desk.run("drive", "a.talk", desk.speech, "-o", kept, "-y"))
        assert kept.read_bytes() == b"mine" and hidden(disk) == []


def test_full_disk_under_frames(desk: Desk, video: Path) -> None:
    with small_disk(desk.folder / "disk", 256) as disk:
        refused(desk.run("drive", "a.talk", desk.speech, "-o", disk / "frames"))
        assert list(disk.iterdir()) == []


def test_full_disk_under_the_cache(desk: Desk) -> None:
    with small_disk(desk.folder / "cache", 8):
        refused(desk.run("animate", desk.portrait, desk.speech, "-o", "new.mp4"))
    assert not (desk.folder / "new.mp4").exists() and hidden(desk.folder) == []


def without_network() -> None:
    """Leave the network, in a namespace of one's own that holds none."""
    new_user, new_network = 0x10000000, 0x40000000
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare") or libc.unshare(new_user | new_network):
        raise OSError(ctypes.get_errno(), "may not leave the network")


@pytest.mark.parametrize(
    "command", [campaign.DUMMY, pytest.param(campaign.REAL, marks=[pytest.mark.slow])]
)
def test_no_network_is_needed(desk: Desk, command: list[str]) -> None:
    try:
        subprocess.run(["true"], check=True, preexec_fn=without_network)
    except subprocess.SubprocessError:
        pytest.skip("may not leave the network")
    desk.command = command
    shutil.copy(campaign.ROOT / "assets" / "portrait.png", desk.portrait)
    video = desk.folder / "new.mp4"
    given = ["animate", desk.portrait, desk.speech, "--size", 128, "-o", video]
    told = desk.run(*given, prepare=without_network)
    assert told.code == 0, told.err
    assert length(video) == desk.frames


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("place", ["/dev/full", "closed"])
def test_streams_that_take_nothing(desk: Desk, video: Path, stream: str, place: str) -> None:
    """The video is finished all the same; only an answer that is lost is an error."""
    video.unlink()
    command = ["drive", "a.talk", desk.speech, "-o", video, "--json"]
    number = {"stdout": 1, "stderr": 2}[stream]
    if place == "closed":
        told = desk.run(*command, prepare=lambda: os.close(number))
    else:
        with Path(place).open("w") as full:
            told = desk.run(*command, **{stream: full})
    lost = stream == "stdout" and place == "/dev/full"
    assert told.code == (REFUSED if lost else 0), told.err
    assert length(video) == desk.frames and hidden(desk.folder) == []


@pytest.mark.parametrize("output", ["video.mp4", "frames"])
def test_an_encoder_that_is_killed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    """As by a system that runs out of memory: one line, nothing half-written, and it carries on."""
    killed = desk.folder / "ffmpeg"
    killed.write_text("#!/bin/sh\nhead -c 30000 > /dev/null\nkill -KILL $$\n")
    killed.chmod(0o755)
    made = ["animate", desk.portrait, desk.speech, "-p", "a.talk", "-o", output, "--with-sound"]
    made = made if output == "frames" else made[:-1]
    monkeypatch.setenv("TALKCLI_FFMPEG", str(killed))
    told = desk.run(*made)
    assert told.code == INTERRUPTED, told.err
    (line,) = (line for line in told.err.splitlines() if line.startswith("talkcli: "))
    assert "killed by signal 9 (SIGKILL)" in line and "memory" in line
    assert not (desk.folder / output).exists() and hidden(desk.folder) == []
    monkeypatch.delenv("TALKCLI_FFMPEG")
    again = desk.run(*made, "--json")
    assert again.code == 0, again.err
    assert again.made == {"portrait": False, "avatar": False}
