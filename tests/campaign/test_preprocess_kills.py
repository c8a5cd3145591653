"""Kills of ``talkcli preprocess`` at random moments: no half entry; the same command completes."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.layers.clip import PreparedClip
from tests.support import campaign
from tests.support.campaign import Desk, finished_stages, make_desk
from tests.support.films import CODEC, talking
from tests.support.media import make_clip

#: Kills with each signal.
KILLS = 5


@pytest.fixture
def desk(avatar: PortraitAvatar, tmp_path: Path) -> Desk:
    """A folder with a clip of a second."""
    made = make_desk(tmp_path / "desk", campaign.REAL, 1.0)
    make_clip(made.folder / "clip.mp4", talking(avatar, 25), "25", *CODEC)
    return made


def entry_of(answer: campaign.Ended) -> PreparedClip:
    return PreparedClip.load(Path(answer.answer["stages"][0]["path"]))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_kills_leave_no_half_clip(desk: Desk, number: signal.Signals) -> None:
    rng = random.Random(int(number))
    command = ["preprocess", desk.folder / "clip.mp4", "--json", "-p"]
    first = desk.run(*command, desk.folder / "whole")  # with kernels that may have to be compiled
    assert first.code == 0, first.err
    whole = entry_of(first)
    shutil.rmtree(desk.folder / "whole")
    begun = time.monotonic()
    assert desk.run(*command, desk.folder / "whole").code == 0
    usual = time.monotonic() - begun
    for turn in range(KILLS):
        project = desk.folder / f"me-{turn}"
        process = desk.start(*command, project)
        # Imports take the first third, in which nothing is written.
        time.sleep(rng.uniform(0.3, 1.0) * usual)
        process.send_signal(number)
        told = campaign.ended(process)
        assert told.code in (0, 5, -number), told
        assert "Traceback" not in told.err, told.err
        assert (finished_stages(project) == {"prepare"}) or told.code != 0
        again = desk.run(*command, project)
        assert again.code == 0, again.err
        assert campaign.hidden(project) == []
        clip = entry_of(again)
        np.testing.assert_array_equal(clip.usable, whole.usable)
        assert (clip.box, clip.best) == (whole.box, whole.best)
