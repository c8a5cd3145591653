"""A fit that is killed at random moments goes on, and ends where an unbroken one does."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkcli.engines.audio_plane.checkpoint import load_subject
from tests.support import campaign
from tests.support.campaign import Desk, ended, finished_stages, hidden, length, make_desk
from tests.support.subjects import project_of

#: With evaluations in between, some seconds of steps.
STEPS = 60
FIT = ("--iterations", STEPS, "--set", "fit.crop=192", "--set", "fit.shapes=4", "--seed", 3)
#: Checkpoints twice a second instead of each minute, or short fits would begin anew each time.
OFTEN = (
    "import sys; from talkcli.optim import loop; loop.CHECKPOINT_S = 0.5; "
    "from talkcli.__main__ import main; main()"
)


@pytest.fixture
def desk(prepared: Path, tmp_path: Path) -> Desk:
    made = make_desk(tmp_path / "desk", [sys.executable, "-c", OFTEN], 0.6)
    (made.folder / "clip.mp4").write_bytes(b"what it was made from")
    for name in ("whole.talk", "killed.talk"):
        project_of(prepared, made.folder / name, made.folder / "clip.mp4")
    return made


def fit_of(desk: Desk, root: Path) -> dict[str, Any]:
    """The figures of a fit that runs to its end."""
    told = desk.run("fit", root, *FIT, "--json")
    assert told.code == 0, told.err
    found: dict[str, Any] = json.loads(told.out)["fit"]
    return found


def reached(root: Path) -> int:
    """The step of the checkpoint, which is whole if it is there."""
    from talkcli.optim.loop import _FILE

    files = list(root.glob("fit/*/checkpoint.safetensors"))
    return int(_FILE.read(files[0])[1]["iteration"]) if files else 0


def kill(process: subprocess.Popen[str], moment_s: float) -> bool:
    """Kill a process after a while; False if it had ended before."""
    try:
        process.wait(moment_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    return ended(process).code == -signal.SIGKILL


def kill_a_fit(desk: Desk, kills: int, seed: int) -> None:
    whole, root = desk.folder / "whole.talk", desk.folder / "killed.talk"
    begun = time.monotonic()
    wanted = fit_of(desk, whole)
    took, rng, steps, done = time.monotonic() - begun, random.Random(seed), [0], 0
    while done < kills:
        if kill(desk.start("fit", root, *FIT), rng.uniform(0, took)):
            done += 1
            steps.append(reached(root))
            # Killed between its last step and the avatar, it begins anew.
            assert steps[-1] >= steps[-2] or steps[-2] == STEPS, "what was done is not lost"
            assert finished_stages(root) in ({"prepare"}, {"prepare", "avatar"})
        else:
            # It was faster than the first one, whose kernels may have been compiled: once more.
            took *= 0.8
            steps.append(0)
            shutil.rmtree(root / "avatar")
            shutil.rmtree(root / "fit")
    found = fit_of(desk, root)
    campaign.report(f"{done} kills of a fit, checkpoints at {steps[1:]}")
    assert hidden(desk.folder) == []
    for name in ("face", "mouth", "head"):
        # The same bits where processors are; .05 dB is what the order of sums may change.
        assert found["after"][name] == pytest.approx(wanted["after"][name], abs=0.05)
    one, other = (load_subject(next(r.glob("avatar/*/subject.safetensors")).parent)
                  for r in (whole, root))  # fmt: skip
    np.testing.assert_allclose(other.portrait.splats.colors, one.portrait.splats.colors, atol=2e-3)


def kill_a_drive(desk: Desk, kills: int, seed: int) -> None:
    root, video = desk.folder / "whole.talk", desk.folder / "talk.mp4"
    given = ("drive", root, desk.speech, "-o", video, "-y")
    begun = time.monotonic()
    assert desk.run(*given).code == 0
    took, rng = time.monotonic() - begun, random.Random(seed)
    for _ in range(kills):
        video.unlink(missing_ok=True)
        kill(desk.start(*given), rng.uniform(0, took))
        assert not video.exists() or length(video) == desk.frames
    assert desk.run(*given).code == 0 and length(video) == desk.frames
    assert hidden(desk.folder) == []


@pytest.mark.slow
def test_twenty_kills_of_fit_and_drive_lose_nothing(desk: Desk) -> None:
    kill_a_fit(desk, 14, 16)
    kill_a_drive(desk, 6, 17)
