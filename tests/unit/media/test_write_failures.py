"""Videos that cannot be written whole are not written at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from talkcli.errors import (
    InputError,
    InterruptedRunError,
    MissingDependencyError,
    TalkcliError,
    UsageError,
)
from talkcli.media.encoder import Encoder, find_ffmpeg
from talkcli.media.read import probe
from talkcli.media.write import (
    Encoding,
    FrameFormat,
    VideoWriter,
    check_target,
)
from tests.support.media import (
    FPS_25,
    SMALL,
    names,
    quadrants,
    write_video,
)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("out.mp4", {"frames": FrameFormat(63, 48, FPS_25)}, "odd side"),
        ("out.mp4", {"frames": FrameFormat(64, 31, FPS_25)}, "odd side"),
        ("out.avi", {}, ".avi"),
        ("out.mp4", {"encoding": Encoding(alpha=True)}, "transparency"),
        ("out.mp4", {"encoding": Encoding(sound_file=True)}, "--with-sound"),
        ("out.mp4", {"duration_s": 0.0}, "0.0 s"),
        ("out.mp4", {"duration_s": float("nan")}, "nan s"),
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, name: str, settings: dict, message: str) -> None:
    defaults: dict = {"frames": SMALL, "duration_s": 1.0}
    with pytest.raises(UsageError, match=message):
        VideoWriter(tmp_path / name, **(defaults | settings))
    assert names(tmp_path) == []


def test_wrong_number_of_frames_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="5 frames were written, 25 make"):
        write_video(tmp_path / "out.mp4", quadrants(5), duration_s=1.0)
    assert names(tmp_path) == []


def test_wrong_frames_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        write_video(tmp_path / "out.mp4", quadrants(5).astype(float))
    writer = VideoWriter(tmp_path / "out.mp4", SMALL, duration_s=1.0)
    with pytest.raises(ValueError, match="with block"):
        writer.write(quadrants(1)[0])
    assert names(tmp_path) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file_alone(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"precious")
    with (
        pytest.raises(error),
        VideoWriter(path, SMALL, duration_s=9.0, overwrite=True) as writer,
    ):
        writer.write(quadrants(1)[0])
        raise error
    assert path.read_bytes() == b"precious"
    assert names(tmp_path) == ["out.mp4"]


def test_check_target(tmp_path: Path) -> None:
    check_target(tmp_path / "new" / "out.mp4", overwrite=False)
    (tmp_path / "out.mp4").touch()
    with pytest.raises(InputError, match="already exists; use -y"):
        check_target(tmp_path / "out.mp4", overwrite=False)
    check_target(tmp_path / "out.mp4", overwrite=True)
    with pytest.raises(InputError, match="is a directory"):
        check_target(make_directory(tmp_path / "dir.mp4"), overwrite=True)
    with pytest.raises(UsageError, match="transparency"):
        check_target(tmp_path / "a.mp4", overwrite=False, alpha=True)
    check_target(tmp_path / "frames", overwrite=False, alpha=True)


def make_directory(path: Path) -> Path:
    path.mkdir()
    return path


KILLED_RUN = """
    import os, signal, sys
    from fractions import Fraction
    import numpy as np
    from talkcli.media.write import FrameFormat, VideoWriter

    with VideoWriter(sys.argv[1], FrameFormat(64, 48, Fraction(25)), duration_s=9.0) as writer:
        for _ in range(100):
            writer.write(np.zeros((48, 64, 3), np.uint8))
        os.kill(os.getpid(), signal.SIGKILL)
"""


def wait_for_orphan(left: Path) -> None:
    """Wait until the ffmpeg of a killed run has noticed, and writes no more."""
    seen: list[tuple[str, int]] = []
    unchanged = 0
    while unchanged < 20:
        files = sorted(left.iterdir()) if left.is_dir() else [left]
        now = [(file.name, file.stat().st_size) for file in files]
        unchanged = unchanged + 1 if now == seen and now and now[0][1] else 0
        seen = now
        time.sleep(0.02)


@pytest.mark.parametrize("name", ["out.mp4", "frames"])
def test_a_killed_run_leaves_only_a_hidden_file_that_the_next_removes(
    tmp_path: Path, name: str
) -> None:
    command = [sys.executable, "-c", textwrap.dedent(KILLED_RUN), str(tmp_path / name)]
    done = subprocess.run(command, check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == -signal.SIGKILL
    left = names(tmp_path)
    assert len(left) == 1
    assert left[0].startswith(".talkcli-")
    wait_for_orphan(tmp_path / left[0])
    write_video(tmp_path / name, quadrants(2))
    assert names(tmp_path) == [name]


def test_two_runs_in_one_directory_leave_each_other_alone(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", SMALL, duration_s=0.04) as a:
        with VideoWriter(tmp_path / "b.mp4", SMALL, duration_s=0.04) as b:
            b.write(quadrants(1)[0])
        a.write(quadrants(1)[0])
    assert names(tmp_path) == ["a.mp4", "b.mp4"]
    assert probe(tmp_path / "a.mp4").n_frames == 1


def fake_ffmpeg(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "fake-ffmpeg"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("TALKCLI_FFMPEG", str(path))


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        ("head -c 9999 >&-; echo 'write: No space left on device' >&2; exit 228",
         InputError, "no space is left to write out.mp4"),
        ("cat > /dev/null; echo 'trailer: No space left on device' >&2; exit 1",
         InputError, "no space is left"),
        ("echo \"Unknown encoder 'libx264'\" >&2; exit 8", MissingDependencyError, "libx264"),
        ("echo first >&2; echo 'something odd' >&2; exit 1", TalkcliError, "something odd"),
        ("exit 3", TalkcliError, "status 3 and no message"),
        ("kill -KILL $$", InterruptedRunError, r"killed by signal 9 \(SIGKILL\).*memory"),
        ("echo odd >&2; kill -TERM $$", InterruptedRunError, r"signal 15 \(SIGTERM\)"),
        ("cat > /dev/null; kill -KILL $$", InterruptedRunError, r"\(SIGKILL\).* out\.mp4"),
        ("ulimit -c 0; kill -SEGV $$", TalkcliError, r"signal 11 \(SIGSEGV\).*doctor"),
        ("exec <&-; sleep 0.2; echo 'late words' >&2; exit 1", TalkcliError, "late words"),
    ],
)  # fmt: skip
def test_failures_of_ffmpeg_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, kind: type, message: str
) -> None:
    fake_ffmpeg(tmp_path, script, monkeypatch)
    frames = np.zeros((30, 128, 128, 3), np.uint8)
    (tmp_path / "out").mkdir()
    with pytest.raises(TalkcliError, match=message) as caught:
        write_video(tmp_path / "out" / "out.mp4", frames)
    assert type(caught.value) is kind
    assert names(tmp_path / "out") == []


def test_frames_queue_while_ffmpeg_is_busy_and_kill_ends_it(tmp_path: Path) -> None:
    encoder = Encoder(["sh", "-c", "exec sleep 100"], tmp_path / "out.mp4")
    # One is being written into the pipe, two wait; none of this may block.
    for _ in range(3):
        encoder.put(bytes(4 << 20))
    encoder.kill()
    encoder.kill()
    with pytest.raises(TalkcliError):
        encoder.finish()


def test_ffmpeg_is_the_bundled_one_unless_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TALKCLI_FFMPEG", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "imageio_ffmpeg" in find_ffmpeg()
    monkeypatch.setenv("TALKCLI_FFMPEG", sys.executable)
    assert os.path.samefile(find_ffmpeg(), sys.executable)
    monkeypatch.setenv("TALKCLI_FFMPEG", str(tmp_path / "none"))
    with pytest.raises(MissingDependencyError, match="none"):
        find_ffmpeg()
