"""The public functions: names of projects, and a camera path that spans the whole motion."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import talkcli
from talkcli.errors import UsageError
from talkcli.motion.curves import read_csv, write_csv
from talkcli.types import MotionFrame
from tests.support import dummy_engine
from tests.support.media import make_audio, tone

ASSETS = Path(__file__).parents[2] / "assets"
STILL = MotionFrame.neutral()


@pytest.fixture
def subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> talkcli.Subject:
    def still(blocks: Iterator[np.ndarray], *rest: Any) -> Iterator[MotionFrame]:
        while True:
            next(blocks, None)
            yield STILL

    monkeypatch.setattr("talkcli.motion.motion_frames", still)
    picture = np.full((48, 64, 4), 255, np.uint8)
    subject = talkcli.Subject(tmp_path)
    subject.__dict__["avatar"] = dummy_engine.DummyAvatar(picture, dummy_engine.ENGINE)
    return subject


def curves(folder: Path) -> Any:
    write_csv(folder / "curves.csv", [STILL] * 50, Fraction(25))
    return read_csv(folder / "curves.csv")


def speech(folder: Path, suffix: str) -> Any:
    return talkcli.speak(make_audio(folder / f"v{suffix}", tone(2.0, 44100), 44100))


MOTIONS: dict[str, Any] = {
    "curves": curves,
    "list": lambda folder: [STILL] * 20,
    "wav": lambda folder: speech(folder, ".wav"),
    "mp3": lambda folder: speech(folder, ".mp3"),
    "ogg": lambda folder: speech(folder, ".ogg"),
}


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("path", ["arc", "orbit"])
def test_a_camera_path_spans_the_motion(
    subject: talkcli.Subject, tmp_path: Path, motion: str, path: str
) -> None:
    dummy_engine.ENGINE.forget()
    given = MOTIONS[motion](tmp_path)
    pictures = list(talkcli.frames(subject, given, camera_path=path, fps=10))
    yaws = np.array(dummy_engine.ENGINE.views)
    assert len(pictures) == len(yaws) == pytest.approx(20, abs=1)
    share = (np.arange(len(yaws)) + 0.5) / len(yaws)
    wanted = -np.cos(np.pi * share) if path == "arc" else np.sin(2 * np.pi * share)
    np.testing.assert_allclose(yaws, 30 * wanted, atol=2.5)


def test_frames_without_end_have_no_camera_path(subject: talkcli.Subject) -> None:
    with pytest.raises(UsageError, match="as a list"):
        next(talkcli.frames(subject, iter([STILL]), camera_path="orbit"))
    assert len(list(talkcli.frames(subject, iter([STILL] * 3)))) == 3


def test_projects_are_named_by_text_or_path(tmp_path: Path) -> None:
    for place in (str(tmp_path / "me.talk"), tmp_path / "me.talk"):
        run = talkcli.RunOptions(project=place, dry_run=True)
        plan = talkcli.animate(ASSETS / "portrait.png", ASSETS / "speech.wav", run=run)
        assert plan.project == tmp_path / "me.talk"
