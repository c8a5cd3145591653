"""The command line over a small make-believe engine: real files, real ffmpeg, no networks."""

from __future__ import annotations

import sys
import types
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkcli.cli import app
from talkcli.face.model import FaceModel
from talkcli.face.pose import euler_to_rotation
from talkcli.tracking.landmarks import Face
from talkcli.types import MotionFrame


def make_face(size_px: float, centre: tuple[float, float] = (100, 100), yaw: float = 0.0) -> Face:
    """Landmarks of the template, so tall and so turned."""
    head = FaceModel.load().vertices @ euler_to_rotation(yaw, 0, 0).T
    flat = head * (1, -1, -1 / 1.1)
    scale = size_px / np.linalg.norm(flat[10] - flat[152])
    return Face(flat * scale + (*centre, 0))


@dataclass
class Engine:
    """What the make-believe engine finds and what it was asked to do.

    Attributes:
        faces: what the detector answers.
        calls: names of the functions that ran.
        seen: yaws of every picture that was drawn.
        options: what the motion model got.
        sound: samples that the motion model heard.
        on_frame: called before every picture.
    """

    faces: list[Face] = field(default_factory=lambda: [make_face(200)])
    calls: list[str] = field(default_factory=list)
    seen: list[float | None] = field(default_factory=list)
    motions: list[MotionFrame] = field(default_factory=list)
    options: Any = None
    seed: int | None = None
    sound: float = 0.0
    on_frame: Callable[[], None] = lambda: None

    def detect_faces(self, rgb: np.ndarray) -> list[Face]:
        self.calls.append("detect")
        return self.faces

    def build_portrait(self, rgba: np.ndarray, face: Face, config: Any) -> Any:
        self.calls.append("build")
        return types.SimpleNamespace(save=lambda path: (path / "avatar.bin").write_bytes(b"head"))

    def motion_frames(
        self, blocks: Iterator[np.ndarray], frames: int, fps: Any, options: Any, seed: int
    ) -> Iterator[MotionFrame]:
        self.options, self.seed = options, seed
        for _ in range(frames):
            self.sound += len(next(blocks, ()))
            yield MotionFrame.neutral()
        for block in blocks:
            self.sound += len(block)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Engine:
    """Replaces everything slow; the cache lies in the test's own folder."""
    made = Engine()

    class Scene:
        width, height, backend = 64, 48, "cpu"

        def __init__(self, avatar: Path, video: Any, backend: str, watch: Any) -> None:
            assert (avatar / "avatar.bin").read_bytes() == b"head"
            self.channels = 4 if video.bg == "transparent" else 3

        def images(self) -> None:
            return None

        def canvas(self, pixels: np.ndarray) -> np.ndarray:
            return pixels

        def head(self, motion: MotionFrame, yaw: float | None, images: None) -> None:
            made.on_frame()
            made.seen.append(yaw)
            made.motions.append(motion)

        def paint(self, head: None, canvas: np.ndarray) -> None:
            canvas[:] = 90

        def pictures(self, motion: MotionFrame, yaws: Any) -> list[np.ndarray]:
            pictures = [np.empty((48, 64, self.channels), np.uint8) for _ in yaws]
            for yaw, picture in zip(yaws, pictures, strict=True):
                self.paint(self.head(motion, yaw, self.images()), picture)
            return pictures

    motion = types.ModuleType("talkcli.motion")
    # Its other modules (curves, driver) are the real ones.
    motion.__path__ = [str(Path(app.__file__).parents[1] / "motion")]
    motion.motion_frames = made.motion_frames  # type: ignore[attr-defined]
    motion.TalkSettings = types.SimpleNamespace  # type: ignore[attr-defined]
    build = types.ModuleType("talkcli.engines.portrait.build.build")
    build.build_portrait = made.build_portrait  # type: ignore[attr-defined]
    build.PortraitConfig = types.SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "talkcli.motion", motion)
    monkeypatch.setitem(sys.modules, "talkcli.engines.portrait.build.build", build)
    monkeypatch.setattr("talkcli.tracking.landmarks.detect_faces", made.detect_faces)
    for module in ("animate", "stills"):
        monkeypatch.setattr(f"talkcli.pipeline.{module}.Scene", Scene)
    monkeypatch.setenv("TALKCLI_CACHE", str(tmp_path / "cache"))
    return made


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    """A picture file; what is on it decides the engine."""
    from PIL import Image

    path = tmp_path / "portrait.png"
    Image.effect_noise((200, 220), 40).convert("RGB").save(path)
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
