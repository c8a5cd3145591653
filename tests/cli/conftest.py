"""The command line over the dummy engine: real files, renderer and ffmpeg, no networks."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkcli.cli import app
from talkcli.engines import registry
from talkcli.face.model import FaceModel
from talkcli.face.pose import euler_to_rotation

# Loaded before the detector is replaced, which it would keep.
from talkcli.tracking import clip  # noqa: F401
from talkcli.tracking.landmarks import Face
from talkcli.types import MotionFrame
from tests.support import dummy_engine


def make_face(size_px: float, centre: tuple[float, float] = (100, 100), yaw: float = 0.0) -> Face:
    """Landmarks of the template, so tall and so turned."""
    head = FaceModel.load().vertices @ euler_to_rotation(yaw, 0, 0).T
    flat = head * (1, -1, -1 / 1.1)
    scale = size_px / np.linalg.norm(flat[10] - flat[152])
    return Face(flat * scale + (*centre, 0))


@dataclass
class Engine:
    """What the detector finds, and what the engine and the motion were asked to do.

    Attributes:
        faces: what the detector answers.
        calls: ``detect`` and ``build``, as they ran.
        settings: what the motion model got.
        seed: likewise.
        sound: samples that the motion model heard.
    """

    faces: list[Face] = field(default_factory=lambda: [make_face(200)])
    calls: list[str] = field(default_factory=list)
    settings: Any = None
    seed: int | None = None
    sound: float = 0.0

    @property
    def seen(self) -> list[float | None]:
        """Yaws of every head that was drawn."""
        return dummy_engine.ENGINE.views

    @property
    def motions(self) -> list[MotionFrame]:
        """Motions of every head that was drawn."""
        return dummy_engine.ENGINE.motions

    def before_every_frame(self, call: Callable[[], object]) -> None:
        dummy_engine.ENGINE.on_pose = call

    def detect_faces(self, rgb: np.ndarray) -> list[Face]:
        self.calls.append("detect")
        return self.faces

    def motion_frames(
        self, blocks: Iterator[np.ndarray], frames: None, fps: Any, settings: Any, seed: int
    ) -> Iterator[MotionFrame]:
        self.settings, self.seed = settings, seed
        while True:
            self.sound += len(next(blocks, ()))
            yield MotionFrame.neutral()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Engine:
    """The dummy engine in the place of the default one; the cache lies in the test's folder."""
    made = Engine()
    dummy_engine.ENGINE.forget()
    build = dummy_engine.ENGINE.make

    def make(*arguments: Any) -> None:
        made.calls.append("build")
        build(*arguments)

    monkeypatch.setattr(dummy_engine.ENGINE, "make", make)
    monkeypatch.setattr(dummy_engine.ENGINE, "name", "portrait")
    monkeypatch.setitem(registry.ENGINES, "portrait", "tests.support.dummy_engine")
    monkeypatch.setattr("talkcli.motion.motion_frames", made.motion_frames)
    monkeypatch.setattr("talkcli.tracking.landmarks.detect_faces", made.detect_faces)
    monkeypatch.setenv("TALKCLI_CACHE", str(tmp_path / "cache"))
    return made


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    """A picture file; what is on it decides the engine."""
    from PIL import Image

    path = tmp_path / "portrait.png"
    Image.effect_noise((320, 240), 40).convert("RGB").save(path)
    return path


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Half a second of a tone."""
    return write_tone(tmp_path / "speech.wav", 0.5)


def write_tone(path: Path, seconds: float, loudness: float = 0.3) -> Path:
    """A 16 kHz mono WAV file with a tone of 220 Hz."""
    t = np.arange(round(16000 * seconds)) / 16000
    samples = (loudness * np.sin(2 * np.pi * 220 * t) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.tobytes())
    return path


@dataclass
class Answer:
    """What a command line said."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of an error; fails if there are more, or a traceback."""
        lines = [line for line in self.err.splitlines() if line.startswith("talkcli: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


@pytest.fixture
def talkcli(engine: Engine, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run a command line in this process, over the make-believe engine."""

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        code = app.run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return call
