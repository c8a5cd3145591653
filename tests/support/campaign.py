"""What campaigns share: commands as processes of their own, and looks at what they have left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkcli.media.image import read_image
from talkcli.motion.curves import read_csv
from talkcli.project import Project
from tests.support import dummy_command

ROOT = Path(__file__).parents[2]
DUMMY = [sys.executable, str(dummy_command.__file__)]
REAL = [sys.executable, "-m", "talkcli"]

#: No command of a campaign may take longer, seconds, on a machine that does other things too.
PATIENCE_S = 300
FPS = 25


@dataclass
class Ended:
    """How a process ended, and its streams."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> dict[str, Any]:
        """The object of ``--json``."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def made(self) -> dict[str, bool]:
        """Stage by name: made in this run, or reused."""
        return {stage["stage"]: stage["status"] == "executed" for stage in self.answer["stages"]}


@dataclass
class Desk:
    """A folder with the inputs of every command, and its own cache.

    Attributes:
        folder: holds them.
        command: what starts talkcli.
        seconds: of sound.
        frame_s: how long the dummy engine takes for a frame, seconds.
        cold: compiled kernels are kept in its own cache, which is empty at first, instead of in the
            one that all tests share.
    """

    folder: Path
    command: list[str]
    seconds: float
    frame_s: float = 0.0
    cold: bool = False

    @property
    def portrait(self) -> Path:
        return self.folder / "portrait.png"

    @property
    def speech(self) -> Path:
        return self.folder / "speech.wav"

    @property
    def frames(self) -> int:
        return round(self.seconds * FPS)

    def start(
        self,
        *arguments: object,
        ready: int | None = None,
        prepare: Callable[[], object] = lambda: None,
        **streams: Any,
    ) -> subprocess.Popen[str]:
        """Start a command in the folder.

        Args:
            arguments: of talkcli.
            ready: descriptor that gets a byte as soon as signals are handled.
            prepare: called in the new process before talkcli.
            streams: ``stdout`` and ``stderr``, if not pipes.
        """
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TALKCLI_CACHE": str(self.folder / "cache")}
        env["DUMMY_FRAME_S"] = str(self.frame_s)
        if self.cold:
            env.pop("NUMBA_CACHE_DIR", None)
        if ready is not None:
            env["DUMMY_READY"] = str(ready)

        def prepared() -> None:
            # A shell that runs the tests in the background has them ignore Ctrl-C.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            prepare()

        return subprocess.Popen(
            [*self.command, *map(str, arguments)],
            cwd=self.folder,
            env=env,
            text=True,
            preexec_fn=prepared,
            pass_fds=() if ready is None else (ready,),
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
        )

    def run(self, *arguments: object, **options: Any) -> Ended:
        """Run a command to its end, see :meth:`start`."""
        return ended(self.start(*arguments, **options))


def make_desk(folder: Path, command: list[str], seconds: float, frame_s: float = 0.0) -> Desk:
    """A desk in an empty folder, with noise as portrait and a tone as speech."""
    from PIL import Image

    folder.mkdir()
    desk = Desk(folder, command, seconds, frame_s)
    Image.effect_noise((96, 64), 40).convert("RGB").save(desk.portrait)
    t = np.arange(round(16000 * seconds)) / 16000
    with wave.open(str(desk.speech), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((9000 * np.sin(1400 * t)).astype("<i2").tobytes())
    return desk


def ended(process: subprocess.Popen[str]) -> Ended:
    """Wait for a process; one that hangs fails the test."""
    try:
        out, err = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Ended(process.returncode, out or "", err or "")


def hidden(folder: Path) -> list[str]:
    """Files and folders that are still being written, or that a dead run has left."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob(".*")
        if path.name.startswith((".tmp-", ".talkcli-"))
    )


def length(path: Path) -> int:
    """Frames of a video, folder or curves, all of them decoded; the sound is decoded too."""
    import av

    if path.is_dir():
        return sum(read_image(frame).shape[2] == 4 for frame in path.iterdir())
    if path.suffix == ".csv":
        return len(read_csv(path))
    with av.open(str(path)) as video:
        frames = sum(1 for _ in video.decode(video=0))
    with av.open(str(path)) as video:
        samples = sum(frame.samples for frame in video.decode(audio=0))
        rate = video.streams.audio[0].rate
    # AAC comes in blocks of 1024 samples.
    assert abs(samples / rate - frames / FPS) < 2 * 1024 / rate + 1 / FPS
    return frames


def finished_stages(root: Path) -> set[str]:
    """Stages of a project that are there and whole."""
    if not (root / "project.toml").is_file():
        return set()
    project = Project.open(root)
    found = {name: project.current(name) for name in project.stage_names()}
    assert None not in found.values(), f"{root} points to damaged entries: {found}"
    return set(found)


@contextmanager
def small_disk(place: Path, kilobytes: int) -> Iterator[Path]:
    """A file system of that size; the test is skipped where none may be mounted."""
    place.mkdir()
    size = f"size={kilobytes}k"
    try:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)],
            check=False, capture_output=True,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("no mount command")
    if made.returncode:
        pytest.skip("may not mount a file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def report(text: str) -> None:
    """Print a campaign's figures (shown by ``pytest -s`` and with failures)."""
    with suppress(OSError):
        sys.stdout.write(f"\n{text}\n")
