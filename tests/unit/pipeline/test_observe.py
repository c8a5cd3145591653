"""What is seen and heard in a video, apart from its landmarks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from talkcli.face.measures import lip_aperture
from talkcli.face.topology import CHIN_TIP
from talkcli.pipeline.observe import ShoulderSpeed
from talkcli.pipeline.stages.heard import listen
from talkcli.pipeline.stages.inputs import Clip
from tests.support.media import make_clip, quadrants, run_ffmpeg
from tests.support.motion import sentence

FACE_PX, SIDE = 100, 300


class Spool:
    """Landmarks of a face whose chin stays at one place."""

    middles = (np.arange(30) + 0.5) / 25

    def __len__(self) -> int:
        return len(self.middles)

    def sample(self, count: int) -> np.ndarray:
        points = np.zeros((3, 478, 3))
        points[:, CHIN_TIP, :2] = (SIDE / 2, 120)
        return points


def shoulders(speed_px: float, chin_y: float = 120.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    cloth = np.kron(rng.integers(0, 255, (50, 80)), np.ones((12, 12))).astype(np.uint8)
    spool = Spool()
    seer = ShoulderSpeed(spool)  # type: ignore[arg-type]
    seer.begin(FACE_PX)
    for index in range(len(spool)):
        left = round(20 + speed_px * index)
        frame = np.repeat(cloth[:SIDE, left : left + SIDE, None], 3, 2)
        seer.see(index, frame, None)
    return seer.cm_per_s


@pytest.mark.parametrize("speed_px", [0.0, 2.0, 4.0])
def test_cloth_that_moves_sideways(speed_px: float) -> None:
    found = shoulders(speed_px)
    assert np.isnan(found[0]) and np.isfinite(found[1:]).all()
    # 100 pixels are 17.7 cm, 25 frames a second; compared at 60 % of the size.
    wanted = speed_px / FACE_PX * 17.7 * 25
    assert float(np.median(found[1:])) == pytest.approx(wanted, rel=0.05, abs=0.1)


def test_shoulders_outside_the_picture_are_not_measured() -> None:
    seer = ShoulderSpeed(Spool())  # type: ignore[arg-type]
    seer.begin(FACE_PX)
    for index in range(30):
        seer.see(index, np.zeros((140, SIDE, 3), np.uint8), None)
    assert np.isnan(seer.cm_per_s).all()


def test_a_video_that_changes_its_size() -> None:
    seer = ShoulderSpeed(Spool())  # type: ignore[arg-type]
    seer.begin(FACE_PX)
    for index in range(6):
        seer.see(index, np.zeros((SIDE, SIDE if index < 3 else SIDE - 60, 3), np.uint8), None)
    assert np.isfinite(seer.cm_per_s[:6]).tolist() == [False, True, True, False, True, True]


@pytest.fixture
def talking(tmp_path: Path) -> Path:
    """Some seconds of colour, with a spoken sentence."""
    sound = tmp_path / "speech.f32"
    samples = sentence()
    sound.write_bytes(samples.astype("<f4").tobytes())
    frames = quadrants(round(len(samples) / 16000 * 25))
    return make_clip(
        tmp_path / "talk.mp4", frames, "25", "-f", "f32le", "-ar", "16000", "-ac", "1", "-i", sound,
        "-c:a", "aac",
    )  # fmt: skip


def heard_in(path: Path) -> np.ndarray:
    person = SimpleNamespace(basis=np.random.default_rng(1).normal(size=(52, 478, 3)) * 0.1)
    person.basis[:, [13, 82, 312], 1] += 0.5
    assert lip_aperture(person.basis).mean() > 0.3
    heard = listen(Clip(path), person, "speech")  # type: ignore[arg-type]
    assert heard is not None and len(heard.silent) == len(heard.aperture)
    assert (heard.aperture[heard.silent] == 0.0).all()
    return heard.aperture


def test_sound_that_begins_late_is_heard_late(talking: Path, tmp_path: Path) -> None:
    late = tmp_path / "late.mp4"
    run_ffmpeg(
        "-i", talking, "-itsoffset", "0.3", "-i", talking, "-map", "0:v", "-map", "1:a",
        "-c", "copy", late,
    )  # fmt: skip
    whole, moved = heard_in(talking), heard_in(late)
    assert whole.max() > 0.2
    count = min(len(whole), len(moved) - 30)
    shifts = range(15, 46)
    fits = [
        float(np.corrcoef(whole[: count - 20], moved[k : k + count - 20])[0, 1]) for k in shifts
    ]
    # .3 s; rows are 10 ms apart.
    assert shifts[int(np.argmax(fits))] == pytest.approx(30, abs=1) and max(fits) > 0.95


def test_a_silent_file_is_not_heard(tmp_path: Path) -> None:
    silent = make_clip(tmp_path / "silent.mp4", quadrants(10))
    assert listen(Clip(silent), SimpleNamespace(), "speech") is None  # type: ignore[arg-type]
