"""LSE scores of a video: frames, crops and sound come together as SyncNet wants them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from talkcli.metrics.lse import LseScores, face_crop
from talkcli.metrics.syncnet import LseMeter, MfccStream
from tests.support.media import make_audio
from tests.support.pairs import SIDE, face_picture, face_points, frame_pair

SECONDS = 2.0


class Recorder:
    """Stands for SyncNet: vectors that say which picture and which sound were seen."""

    def __init__(self) -> None:
        self.faces: list[np.ndarray] = []
        self.sounds: list[np.ndarray] = []

    def look(self, faces: np.ndarray) -> np.ndarray:
        assert faces.dtype == np.float32 and faces.shape[1:] == (3, 5, 224, 224)
        self.faces.extend(faces)
        return np.repeat(faces.mean((1, 2, 3, 4))[:, None], 1024, 1)

    def hear(self, rows: np.ndarray) -> np.ndarray:
        assert rows.dtype == np.float32 and rows.shape[1:] == (13, 20)
        self.sounds.extend(rows)
        return np.repeat(rows.mean((1, 2))[:, None], 1024, 1)


@pytest.fixture
def noise() -> np.ndarray:
    return (np.random.default_rng(5).normal(size=(32000, 1)) * 0.1).astype(np.float32)


@pytest.fixture
def sound(tmp_path: Path, noise: np.ndarray) -> Path:
    return make_audio(tmp_path / "speech.wav", noise, 16000)


def shade(time_s: float) -> np.ndarray:
    """A picture that tells its time."""
    return np.full((SIDE, SIDE, 3), (round(100 * time_s), 40, 200), np.uint8)


def scored(sound: Path, fps: float, first: int = 0) -> tuple[Recorder, list]:
    network = Recorder()
    scores = LseScores(network, sound)  # type: ignore[arg-type]
    for index in range(first, round(SECONDS * fps)):
        picture = shade((index + 0.5) / fps)
        scores.add(frame_pair(picture, picture, index, fps=fps))
    return network, scores.finish()


def test_frames_and_sound_of_the_same_time_meet(sound: Path, noise: np.ndarray) -> None:
    network, (distance, confidence) = scored(sound, 25.0)
    # 50 frames hold 46 windows of five; the sound holds windows of .2 s for 45 of them:
    # 199 rows, of which the first begin at 0, 4, 8 ...
    assert len(network.faces) == len(network.sounds) == 45
    for k, face in enumerate(network.faces):
        reds = face[2, :, 112, 112]
        np.testing.assert_allclose(reds, [round(100 * (k + j + 0.5) / 25) for j in range(5)])
    stream = MfccStream()
    whole = np.round(noise[:, 0].astype(float) * 32768)
    rows = np.concatenate([stream.push(whole), stream.finish()])
    # WAV files hold 16 bits: a unit of rounding in every sample.
    np.testing.assert_allclose(network.sounds[7], rows[28:48].T, atol=0.05)
    meter = LseMeter()
    meter.push(
        np.concatenate([Recorder().look(face[None]) for face in network.faces]),
        np.concatenate([Recorder().hear(rows[None]) for rows in network.sounds]),
    )
    wanted = meter.finish()
    assert wanted is not None
    assert (distance.name, confidence.name) == ("lse_d", "lse_c")
    assert distance.value == pytest.approx(wanted.distance, rel=1e-9)
    assert confidence.value == pytest.approx(wanted.confidence, rel=1e-9)
    assert "S3FD" in distance.note


@pytest.mark.parametrize("fps", [50.0, 12.5])
def test_other_frame_rates_become_25(sound: Path, fps: float) -> None:
    network, _ = scored(sound, fps)
    assert abs(len(network.faces) - 45) <= 1
    for k in (3, 20, 40):
        times = network.faces[k][2, :, 112, 112] / 100.0
        # The nearest frame is at most half a frame of the slower rate away.
        np.testing.assert_allclose(times, (k + np.arange(5) + 0.5) / 25, atol=0.5 / min(fps, 25))


def test_a_face_that_appears_late_meets_its_own_sound(sound: Path) -> None:
    whole, _ = scored(sound, 25.0)
    late, _ = scored(sound, 25.0, first=10)
    assert len(late.faces) == 35
    np.testing.assert_array_equal(late.faces[0], whole.faces[10])
    np.testing.assert_array_equal(late.sounds[0], whole.sounds[10])


def test_without_a_face_there_is_no_score(sound: Path) -> None:
    scores = LseScores(Recorder(), sound)  # type: ignore[arg-type]
    scores.add(frame_pair(shade(0), shade(0), face=False))
    assert [row.value for row in scores.finish()] == [None, None]


def test_the_crop_is_that_of_a_detected_face() -> None:
    points = face_points()
    crop = face_crop(face_picture(points), points)
    assert crop.shape == (224, 224, 3)
    # The face fills 1 / 1.4 of it, from the upper edge on; below lies twice the margin of a side.
    assert crop[20, 112].mean() > 100 and crop[200, 112].mean() < 130
    beside = face_crop(face_picture(points), points - np.array([40.0, 0.0, 0.0]))
    assert (beside[:, 0] == 110).all()
