"""Kills at random moments: nothing that was there is lost, and the same command carries on.

Seeded, so that the same jobs get the same signals; the moment within a run still varies with the
machine, which is meant.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from talkcli.files.atomic import sha256_file
from talkcli.kernels import store
from tests.support import campaign
from tests.support.campaign import Desk, finished_stages, hidden, length, make_desk
from tests.support.media import make_clip, quadrants

KILL, TERM, INT, HUP = signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP
SIGNALS = (KILL, TERM, INT, HUP)
INTERRUPTED = 5

Process = subprocess.Popen[str]


@dataclass
class Job:
    """A command that is killed, and run again.

    Attributes:
        arguments: of talkcli.
        project: where its stages are kept.
        output: what it writes, or None.
        frames: how many the output has when it is whole.
        right: what :func:`digest` says of the right output, where that is known.
    """

    arguments: list[object]
    project: Path
    output: Path | None = None
    frames: int = 0
    right: str | None = None


@dataclass
class Campaign:
    """Kills one job after the other, and keeps count.

    Attributes:
        desk: inputs of the jobs.
        old: a finished output by suffix, which lies where the job's will be.
        rng: chooses moments.
        took: seconds that an undisturbed run of a command last took.
        counts: what happened.
    """

    desk: Desk
    old: dict[str, Path]
    rng: random.Random
    took: dict[str, float] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def kill(
        self, job: Job, *numbers: signal.Signals, wait: Callable[[Process], object] | None = None
    ) -> None:
        """Kill a job, once for each signal, look at what is left, and run it again.

        Args:
            job: what is killed.
            numbers: the signals.
            wait: returns when a process is to be killed; at a random moment if there is none.
        """
        if job.output is not None and self.rng.random() < 0.7:
            copy(self.old[job.output.suffix], job.output)
        for number in numbers:
            before = digest(job.output) if job.output and job.output.exists() else None
            told = self._start_and_kill(job, number, wait)
            self._look(job, number, before, told)
            if told.code == 0:
                self.counts["ended before"] += 1
                continue
            self.counts["kills"] += 1
            self.counts[number.name] += 1
            self.counts["stages kept"] += len(finished_stages(job.project))
        self._carry_on(job, finished_stages(job.project))

    def _start_and_kill(
        self, job: Job, number: signal.Signals, wait: Callable[[Process], object] | None
    ) -> campaign.Ended:
        read_end, write_end = os.pipe()
        process = self.desk.start(*job.arguments, ready=write_end)
        os.close(write_end)
        begun = time.monotonic()
        if number != KILL and self.desk.command == campaign.DUMMY:
            # Before that Python itself is loading, and ends as any Python does.
            select.select([read_end], [], [], campaign.PATIENCE_S)
        usual = self.took.get(str(job.arguments[0]), 2.0)
        moment = begun + self.rng.uniform(0, usual)
        if wait is None:
            wait_or_end(process, lambda: time.monotonic() >= moment)
        else:
            wait(process)
        process.send_signal(number)
        if number != KILL and self.rng.random() < 0.25:
            time.sleep(self.rng.uniform(0, 0.1))
            process.send_signal(self.rng.choice((TERM, INT, HUP)))
            self.counts["second signals"] += 1
        told = campaign.ended(process)
        os.close(read_end)
        return told

    def _look(
        self, job: Job, number: signal.Signals, before: str | None, told: campaign.Ended
    ) -> None:
        assert told.code in (0, -KILL if number == KILL else INTERRUPTED), told
        assert "Traceback" not in told.err and "bug" not in told.err, told.err
        if told.code == INTERRUPTED:
            assert told.err.count("talkcli: interrupted") == 1, told.err
        if number != KILL:
            assert hidden(self.desk.folder) == []
        if job.output is None:
            return
        if not job.output.exists():
            assert before is None, "an output that was there is lost"
            self.counts["none yet"] += 1
        elif digest(job.output) == before:
            self.counts["old kept"] += 1
        else:
            assert length(job.output) == job.frames
            self.counts["new whole"] += 1

    def _carry_on(self, job: Job, stages: set[str]) -> None:
        begun = time.monotonic()
        again = self.desk.run(*job.arguments)
        self.took[str(job.arguments[0])] = time.monotonic() - begun
        assert again.code == 0, again.err
        assert {name for name in stages if again.made.get(name, False)} == set()
        assert hidden(self.desk.folder) == []
        if job.output is not None:
            assert length(job.output) == job.frames
            assert job.right in (None, digest(job.output))
            remove(job.output)

    def report(self) -> None:
        campaign.report(
            f"{self.counts['kills']} kills, lost = 0: "
            + ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))
        )


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder of files."""
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


def digest(path: Path) -> str:
    """Tells files, and folders of files, apart by what they hold."""
    if path.is_file():
        return sha256_file(path)
    return " ".join(f"{file.name} {sha256_file(file)}" for file in sorted(path.iterdir()))


def remove(path: Path) -> None:
    """Delete a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def wait_or_end(process: Process, arrived: Callable[[], bool]) -> None:
    """Sleep until something has happened, or until the process has ended."""
    while not arrived() and process.poll() is None:
        time.sleep(0.005)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = make_desk(tmp_path / "desk", campaign.DUMMY, 1.0, frame_s=0.02)
    make_clip(made.folder / "clip.mp4", quadrants(30), "25")
    return made


@pytest.fixture
def old(desk: Desk, tmp_path: Path) -> dict[str, Path]:
    """Outputs that lie in the way; makes the project that ``drive`` works with, too."""
    video, curves, frames = (tmp_path / f"old{suffix}" for suffix in (".mp4", ".csv", ""))
    given = ["animate", desk.portrait, desk.speech, "-p", "driven.talk", "-o", video]
    made = desk.run(*given, "--fps", 10)
    assert made.code == 0, made.err
    curves.write_text("mine", encoding="utf-8")
    frames.mkdir()
    (frames / "00000.png").write_text("mine", encoding="utf-8")
    return {".mp4": video, ".csv": curves, "": frames}


def jobs(desk: Desk) -> list[Callable[[int], Job]]:
    """The commands that leave something; all but ``drive`` get a project of their own each time."""
    video, curves = desk.folder / "new.mp4", desk.folder / "new.csv"

    def animate(turn: int) -> Job:
        project = desk.folder / f"animate{turn}.talk"
        given = ["animate", desk.portrait, desk.speech, "-p", project, "-o", video, "-y", "--json"]
        return Job(given, project, video, desk.frames)

    def reconstruct(turn: int) -> Job:
        project = desk.folder / f"reconstruct{turn}.talk"
        return Job(["reconstruct", desk.portrait, "-p", project, "--json"], project)

    def drive(turn: int) -> Job:
        project = desk.folder / "driven.talk"
        given = ["drive", project, desk.speech, "-o", video, "-y", "--json"]
        return Job(given, project, video, desk.frames)

    def draw(turn: int) -> Job:
        project = desk.folder / "driven.talk"
        frames = desk.folder / "frames"
        given = ["drive", project, desk.speech, "-o", frames, "-y", "--json"]
        return Job(given, project, frames, desk.frames)

    def track(turn: int) -> Job:
        project = desk.folder / f"track{turn}.talk"
        given = ["track", desk.folder / "clip.mp4", "-p", project, "-o", curves, "-y", "--json"]
        return Job(given, project, curves, 30)

    return [animate, reconstruct, drive, draw, track]


def kill_many(desk: Desk, old: dict[str, Path], kills: int, seed: int) -> Campaign:
    made, kinds = Campaign(desk, old, random.Random(seed)), jobs(desk)
    for turn in range(3 * kills):
        job = kinds[turn % len(kinds)](turn)
        # The second term lets every command meet every signal.
        made.kill(job, SIGNALS[(turn + turn // len(kinds)) % len(SIGNALS)])
        if made.counts["kills"] == kills:
            break
    made.report()
    assert made.counts["kills"] == kills
    return made


def test_six_kills_lose_nothing(desk: Desk, old: dict[str, Path]) -> None:
    kill_many(desk, old, 6, 13)


@pytest.mark.slow
def test_forty_kills_lose_nothing(desk: Desk, old: dict[str, Path]) -> None:
    made = kill_many(desk, old, 40, 1300)
    assert min(made.counts[number.name] for number in SIGNALS) >= 5
    # Were all killed before they begin to work, the campaign would show little.
    assert made.counts["stages kept"] > 20


def kernels(desk: Desk) -> list[Path]:
    """Compiled kernels in the cache."""
    return sorted((desk.folder / "cache" / "kernels").rglob(f"*{store.SUFFIX}"))


def whole_kernels(desk: Desk) -> dict[str, int]:
    """When each of them was written, by name; all must be as they were compiled."""
    assert all(store._read_own(path) for path in kernels(desk))
    return {path.name: path.stat().st_mtime_ns for path in kernels(desk)}


@pytest.mark.slow
def test_six_kills_while_kernels_compile(tmp_path: Path) -> None:
    """The first run of all compiles for a minute; three kills each build on what the last left."""
    desk = make_desk(tmp_path / "desk", campaign.REAL, 1.0)
    desk.cold = True
    shutil.copy(campaign.ROOT / "assets" / "portrait.png", desk.portrait)
    video, old = desk.folder / "new.mp4", tmp_path / "old.mp4"
    old.write_text("mine", encoding="utf-8")

    def job(name: str, right: str | None = None) -> Job:
        project = desk.folder / f"{name}.talk"
        given = ["animate", desk.portrait, desk.speech, "-p", project, "-o", video, "-y", "--json"]
        return Job([*given, "--size", 256], project, video, desk.frames, right)

    undisturbed = desk.run(*job("undisturbed").arguments)
    assert undisturbed.code == 0, undisturbed.err
    wanted, right = whole_kernels(desk), digest(video)
    video.unlink()
    made, stored = Campaign(desk, {".mp4": old}, random.Random(131)), []

    def some_are_stored(process: Process) -> None:
        wait_or_end(process, lambda: len(kernels(desk)) >= numbers[0])
        # The next one takes up to some seconds.
        moment = time.monotonic() + made.rng.uniform(0, 2)
        wait_or_end(process, lambda: time.monotonic() >= moment)
        stored.append(len(whole_kernels(desk)))
        del numbers[0]

    for name, signals in (("first", (KILL, TERM, KILL)), ("second", (TERM, KILL, TERM))):
        shutil.rmtree(desk.folder / "cache")
        numbers = sorted(made.rng.sample(range(1, len(wanted)), len(signals)))
        made.kill(job(name, right), *signals, wait=some_are_stored)
        whole = whole_kernels(desk)
        assert set(whole) == set(wanted)
        again = desk.run(*job(f"{name} again").arguments)
        assert again.code == 0 and whole_kernels(desk) == whole, again.err
    made.report()
    campaign.report(f"kernels stored at these kills: {stored} of {len(wanted)}")
    assert made.counts["kills"] == 6
