"""Another face drives: ``track``, ``--driver``, ``--expr``, ``--pose-from``, mixed mode."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from talkcli.config import Recipe
from talkcli.errors import MissingDependencyError
from talkcli.face.model import FaceModel
from talkcli.face.pose import euler_to_rotation
from talkcli.media.audio import sound_duration, stream_pcm
from talkcli.media.read import probe, read_frames
from talkcli.motion.curves import read_csv, read_npz, write_csv, write_npz
from talkcli.pipeline.stages.inputs import Clip
from talkcli.pipeline.stages.landmarks import measure_clips
from talkcli.progress import SilentReporter, Stopwatch
from talkcli.types import ARKIT_NAMES, MotionCurves, MotionFrame

JAW, BLINK = ARKIT_NAMES.index("jawOpen"), ARKIT_NAMES.index("eyeBlinkLeft")


def write_clip(path: Path, times: list[Fraction], *, sound_s: float = 0.0) -> Path:
    """A grey clip whose frames appear at the given seconds; the last one stays for its own step."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        tone = container.add_stream("aac", rate=16000, layout="mono") if sound_s else None
        for time in times:
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 128, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if tone is not None:
            wave = 0.3 * np.sin(np.arange(round(16000 * sound_s)) / 12)
            sound = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), "fltp", "mono")
            sound.sample_rate, sound.pts = 16000, 0
            container.mux(tone.encode(sound))
            container.mux(tone.encode())
    return path


@dataclass
class Eyes:
    """A landmark network that needs no picture: a head that turns, nods and talks."""

    faces_seen: int = 1
    missing: Callable[[int], bool] = lambda index: False
    frames: int = 0

    def follow(self, rgb: np.ndarray) -> np.ndarray | None:
        index = self.frames
        self.frames += 1
        if self.missing(index):
            return None
        model = FaceModel.load()
        face = model.vertices + 0.4 * (index % 10 > 4) * model.basis[JAW]
        head = face @ euler_to_rotation(15 * np.sin(index / 8), 0, 0).T
        return head * (1, -1, -1 / 1.1) * 2.5 + (48, 32, 0)


@pytest.fixture
def eyes(monkeypatch: pytest.MonkeyPatch) -> Eyes:
    made = Eyes()

    def renewed(source: Any, face: int = 0, small: bool = False) -> Eyes:
        made.frames = 0
        return made

    class Source:
        name = "made"

        def close(self) -> None: ...

    monkeypatch.setattr("talkcli.tracking.clip.FaceFollower", renewed)
    monkeypatch.setattr("talkcli.tracking.clip.find_turn", lambda path: 0)
    monkeypatch.setattr("talkcli.tracking.clip.open_landmarks", lambda setting: Source())
    return made


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """1.5 s at 30 frames per second, with a second of sound."""
    return write_clip(tmp_path / "clip.mp4", [Fraction(k, 30) for k in range(45)], sound_s=1.0)


def curves_file(path: Path, seconds: float = 2.0, fps: int = 30) -> Path:
    count = round(seconds * fps)
    expression = np.zeros((count, 52), np.float32)
    expression[count // 2 :, JAW] = 0.8
    expression[:, BLINK] = 0.3
    frames = [MotionFrame(row, *(np.zeros(n, np.float32) for n in (3, 3, 2))) for row in expression]
    write_csv(path, frames, Fraction(fps))
    return path


def test_track_writes_live_link_curves(talkcli, eyes, clip, tmp_path) -> None:
    answer = talkcli("track", clip, "--json")
    assert answer.code == 0
    said = json.loads(answer.out)
    assert said["command"] == "track" and said["clip"]["frames"] == 45
    assert said["clip"]["flagged"] == 0 and said["clip"]["landmarks"] == "made"
    curves = read_csv(tmp_path / "clip.csv")
    assert len(curves) == 45
    assert curves.duration_s == pytest.approx(1.5)
    assert np.ptp(curves.rotation[:, 0]) > 20
    assert np.ptp(curves.expression[:, JAW]) > 0.2


def test_track_is_reused_and_npz_is_exact(talkcli, eyes, clip, tmp_path) -> None:
    first = json.loads(talkcli("track", clip, "-o", tmp_path / "a.npz", "--json").out)
    eyes.missing = lambda index: True
    again = json.loads(talkcli("track", clip, "-o", tmp_path / "b.npz", "--json").out)
    assert [first["stages"][0]["status"], again["stages"][0]["status"]] == ["executed", "reused"]
    one, two = read_npz(tmp_path / "a.npz"), read_npz(tmp_path / "b.npz")
    np.testing.assert_array_equal(one.expression, two.expression)
    assert one.translation.any()


def test_track_dry_run_makes_nothing(talkcli, eyes, clip, tmp_path) -> None:
    answer = talkcli("track", clip, "--dry-run", "--json")
    assert answer.code == 0 and json.loads(answer.out)["stages"][0]["status"] == "would execute"
    assert not (tmp_path / "clip.csv").exists() and not list((tmp_path / "cache").rglob("*.npz"))


def test_track_refuses_other_endings_and_existing_files(talkcli, eyes, clip, tmp_path) -> None:
    assert talkcli("track", clip, "-o", tmp_path / "curves.json").code == 2
    (tmp_path / "clip.csv").write_text("mine")
    answer = talkcli("track", clip)
    assert answer.code == 3 and "already exists" in answer.error
    assert (tmp_path / "clip.csv").read_text() == "mine"


@pytest.mark.parametrize("fps", ["10", "24", "25", "29.97", "60"])
def test_driven_video_is_as_long_as_the_driver(
    talkcli, engine, eyes, portrait, clip, tmp_path, fps
) -> None:
    output = tmp_path / "out.mp4"
    answer = talkcli("animate", portrait, "--driver", clip, "-o", output, "--fps", fps, "--json")
    assert answer.code == 0, answer.err
    said = json.loads(answer.out)
    rate = Fraction(said["fps"])
    assert said["frames"] == len(engine.motions)
    assert abs(said["frames"] / rate - Fraction(3, 2)) <= 1 / (2 * rate)
    assert [stage["stage"] for stage in said["stages"]] == ["portrait", "avatar", "track"]
    # The driver's own sound, padded to the length of the video.
    assert sound_duration(output) == pytest.approx(1.5, abs=0.02)
    yaws = [motion.rotation[0] for motion in engine.motions]
    assert np.ptp(yaws) > 20


def test_the_sound_of_a_driver_beside_frames(talkcli, eyes, portrait, clip, tmp_path) -> None:
    """A second of sound, padded to the 1.5 s of the clip; with speech as well, the speech."""
    speech = write_clip(tmp_path / "speech.mp4", [Fraction(k, 30) for k in range(6)], sound_s=0.8)
    for given, duration_s in (((), 1.5), ((speech,), 0.8)):
        output = tmp_path / f"frames{len(given)}"
        answer = talkcli(
            "animate", portrait, *given, "--driver", clip, "-o", output, "--with-sound", "--json"
        )
        assert answer.code == 0, answer.err
        (sound,) = json.loads(answer.out)["sound_files"]
        frames = len(list(output.glob("*.png")))
        assert frames == json.loads(answer.out)["frames"] and abs(frames / 25 - duration_s) < 0.021
        assert sound_duration(sound) == pytest.approx(duration_s, abs=1e-3)
        heard = np.concatenate(list(stream_pcm(sound)))
        assert np.abs(heard[1600:9600]).max() > 0.2
        assert not heard[17000:].any()


def test_variable_frame_rate(talkcli, engine, eyes, portrait, tmp_path) -> None:
    times = [Fraction(k, 30) for k in range(30)] + [1 + Fraction(k, 10) for k in range(10)]
    clip = write_clip(tmp_path / "uneven.mp4", times)
    answer = talkcli("animate", portrait, "--driver", clip, "-o", tmp_path / "o.mp4", "--json")
    assert answer.code == 0, answer.err
    said = json.loads(answer.out)
    assert said["frames"] == 50
    assert not probe(tmp_path / "o.mp4").has_audio
    # Frame 35 of the clip shows from 1.5 s on; the head turns by the frame's number.
    wanted = 15 * np.sin(35 / 8)
    shown = engine.motions[38].rotation[0] - engine.motions[0].rotation[0]
    assert shown == pytest.approx(wanted, abs=3.0)


def test_second_run_reuses_the_tracking(talkcli, eyes, portrait, clip, tmp_path) -> None:
    options = ("animate", portrait, "--driver", clip, "-o", tmp_path / "o.mp4", "-y", "--json")
    statuses = [
        {stage["stage"]: stage["status"] for stage in json.loads(talkcli(*options).out)["stages"]}
        for _ in range(2)
    ]
    assert statuses[0]["track"] == "executed"
    assert set(statuses[1].values()) == {"reused"}


def test_speech_and_driver_mix(talkcli, engine, eyes, portrait, clip, speech, tmp_path) -> None:
    """The video has the length of the speech; lips come from it, the head from the driver."""
    answer = talkcli("animate", portrait, speech, "--driver", clip, "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["duration_s"] == pytest.approx(0.5, abs=1e-3)
    assert engine.settings.still and engine.settings.blink_rate == 0
    assert all(motion.expression[JAW] == 0 for motion in engine.motions)
    assert np.ptp([motion.rotation[0] for motion in engine.motions]) > 5
    assert (tmp_path / "portrait_speech.mp4").exists()


def test_speech_with_the_pose_of_a_clip(talkcli, engine, eyes, portrait, clip, speech) -> None:
    answer = talkcli("animate", portrait, speech, "--pose-from", clip)
    assert answer.code == 0, answer.err
    assert engine.settings.head_motion == 0 and engine.settings.blink_rate > 0
    assert np.ptp([motion.rotation[0] for motion in engine.motions]) > 5


def test_curves_drive_an_avatar_by_name_or_position(
    talkcli, engine, eyes, portrait, tmp_path
) -> None:
    project = tmp_path / "me"
    assert talkcli("reconstruct", portrait, "-p", project).code == 0
    curves = curves_file(tmp_path / "curves.csv")
    for count, names in enumerate((("drive", project), ("drive", "-p", project)), 1):
        engine.motions.clear()
        output = tmp_path / f"{count}.mp4"
        answer = talkcli(*names, "--expr", curves, "-o", output, "--expr-scale", "0.5", "--json")
        assert answer.code == 0, answer.err
        said = json.loads(answer.out)
        assert said["duration_s"] == pytest.approx(2.0) and said["frames"] == 50
        assert engine.motions[-1].expression[JAW] == pytest.approx(0.4)
        assert engine.motions[-1].expression[BLINK] == pytest.approx(0.3)


def test_other_rates_of_curves(talkcli, engine, portrait, tmp_path) -> None:
    curves = curves_file(tmp_path / "sixty.csv", seconds=1.5, fps=60)
    answer = talkcli("animate", portrait, "--driver", curves, "--fps", "24", "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["frames"] == 36


def test_nothing_to_move_by(talkcli, portrait, tmp_path) -> None:
    answer = talkcli("animate", portrait)
    assert answer.code == 2 and "--driver" in answer.error
    assert talkcli("drive").code == 2
    assert talkcli("drive", tmp_path, "a.wav", "b.wav").code == 2


def test_driver_without_a_face(talkcli, engine, eyes, portrait, clip, tmp_path) -> None:
    eyes.missing = lambda index: True
    answer = talkcli("animate", portrait, "--driver", clip)
    assert answer.code == 3 and "no face can be followed" in answer.error
    assert "build" not in engine.calls, "known before an avatar is built for it"
    assert not list(tmp_path.glob("*.mp4.part")) and not (tmp_path / "portrait_clip.mp4").exists()


def test_a_clip_that_was_measured_is_not_measured_again(talkcli, eyes, clip, tmp_path) -> None:
    reporter = SilentReporter()
    with measure_clips((Clip(clip),), Recipe(), reporter, Stopwatch())[0].spool as spool:
        assert len(spool) == 45
    fresh = talkcli("track", clip, "-p", tmp_path / "a", "-o", tmp_path / "a.npz", "--json")
    assert fresh.code == 0 and json.loads(fresh.out)["clip"]["landmarks"] == "made"
    curves = read_npz(tmp_path / "a.npz")
    # Nobody could be seen any more; and the same comes of looking again.
    missing, eyes.missing = eyes.missing, lambda index: True
    assert talkcli("track", clip, "-p", tmp_path / "b", "-o", tmp_path / "b.npz").code == 0
    eyes.missing = missing
    shutil.rmtree(tmp_path / "cache" / "projects")
    assert talkcli("track", clip, "-p", tmp_path / "c", "-o", tmp_path / "c.npz").code == 0
    for name in "bc":
        again = read_npz(tmp_path / f"{name}.npz")
        for part in ("times", "expression", "rotation", "translation", "gaze"):
            np.testing.assert_array_equal(getattr(again, part), getattr(curves, part))


def test_judging_a_clip_warns_of_what_tracking_warns_of_once(talkcli, eyes, clip) -> None:
    eyes.missing, eyes.faces_seen = (lambda index: 10 <= index < 14), 2
    reporter = SilentReporter()
    for _ in range(2):
        with measure_clips((Clip(clip),), Recipe(), reporter, Stopwatch())[0].spool as spool:
            assert spool.found == 41
    assert [text for text in reporter.warnings if "shows 2 faces" in text] == reporter.warnings[:1]
    assert len(reporter.warnings) == 2 and "9%" in reporter.warnings[1]
    answer = talkcli("qc", clip)
    assert "2 faces" in answer.err and "tracking.face=1" in answer.err
    assert "2 faces" not in talkcli("qc", clip, "--set", "tracking.face=1").err


def test_missed_frames_and_several_faces_are_told(talkcli, eyes, portrait, clip) -> None:
    eyes.missing, eyes.faces_seen = (lambda index: 10 <= index < 14), 3
    answer = talkcli("animate", portrait, "--driver", clip)
    assert answer.code == 0
    assert "9%" in answer.err and "3 faces" in answer.err and "tracking.face" in answer.err


def test_corrupt_tail_is_cut_off(talkcli, engine, eyes, portrait, clip) -> None:
    damaged = clip.with_suffix(".ts")
    write_clip(damaged, [Fraction(k, 30) for k in range(90)])
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) * 2 // 3] + b"\x00\xff" * 500)
    answer = talkcli("animate", portrait, "--driver", damaged, "--json")
    assert answer.code == 0, answer.err
    shown = len(list(read_frames(damaged)))
    assert 20 < shown < 90
    assert abs(json.loads(answer.out)["frames"] / 25 - shown / 30) < 0.2


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.mp4", b"", "empty"),
        ("noise.mp4", bytes(range(256)) * 40, "not"),
        ("picture.png", None, "picture"),
        ("sound.wav", None, "only sound"),
        ("none.mp4", None, "does not exist"),
        ("words.csv", b"a,b\n1,2\n", "Live Link Face"),
        ("partial.csv", b"Timecode,JawOpen\n00:00:00:00.000\n", "row"),
        ("nan.csv", b"Timecode,JawOpen\n00:00:00:00.000,nan\n", "finite"),
        ("header.csv", b"Timecode,JawOpen\n", "no frame"),
        ("broken.npz", b"PK\x03\x04 nothing", "cannot be read"),
        ("empty.csv", b"", "empty"),
    ],
)
@pytest.mark.parametrize("option", ["--driver", "--pose-from"])
def test_unusable_drivers(  # noqa: PLR0913 - fixtures
    talkcli, engine, eyes, portrait, speech, tmp_path, name, content, says, option
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    elif name == "picture.png":
        path.write_bytes(portrait.read_bytes())
    elif name == "sound.wav":
        path.write_bytes(speech.read_bytes())
    answer = talkcli("animate", portrait, option, path)
    assert answer.code == 3, answer.err
    assert name in answer.error and says in answer.error
    assert engine.calls == []


def test_missing_columns_count_as_zero(talkcli, engine, portrait, tmp_path) -> None:
    path = tmp_path / "few.csv"
    rows = "\n".join(f"00:00:00:{k:02d}.000,{0.02 * k}" for k in range(30))
    path.write_text(f"Timecode,JawOpen\n{rows}\n")
    assert talkcli("animate", portrait, "--driver", path).code == 0
    assert max(motion.expression[JAW] for motion in engine.motions) > 0.4
    assert not any(motion.rotation.any() for motion in engine.motions)


def test_npz_of_another_tool_is_refused(talkcli, portrait, tmp_path) -> None:
    path = tmp_path / "other.npz"
    np.savez(path, weights=np.zeros((4, 52)))
    answer = talkcli("animate", portrait, "--driver", path)
    assert answer.code == 3 and "cannot be read as motion" in answer.error


def test_landmark_model_that_is_not_there(talkcli, portrait, clip) -> None:
    answer = talkcli("track", clip, "--set", "tracking.landmarks=/nowhere/face.task")
    assert answer.code == MissingDependencyError.exit_code
    assert "/nowhere/face.task" in answer.error


def test_uneven_curves_keep_their_length(talkcli, engine, portrait, tmp_path) -> None:
    times = np.array([0.1, 0.2, 0.25, 0.9, 1.4])
    zeros = [np.zeros((5, n), np.float32) for n in (52, 3, 3, 2)]
    write_npz(tmp_path / "u.npz", MotionCurves(times, *zeros, np.ones(5, bool), 1.6))
    answer = talkcli("animate", portrait, "--driver", tmp_path / "u.npz", "--json")
    assert json.loads(answer.out)["frames"] == 40
