"""``--with-sound``: the speech beside a folder of PNGs."""

from __future__ import annotations

import json
import signal
import time
import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkcli.media.audio import open_sound
from talkcli.motion.curves import write_csv
from talkcli.types import MotionFrame
from tests.support import campaign
from tests.support.media import make_audio, tone


def samples(path: Path) -> tuple[int, int, np.ndarray]:
    """Rate, channels and ``[n, channels]`` samples of 16 bits."""
    with wave.open(str(path), "rb") as file:
        assert file.getsampwidth() == 2
        content = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return file.getframerate(), file.getnchannels(), content.reshape(-1, file.getnchannels())


def seconds(path: Path) -> float:
    rate, _, content = samples(path)
    return len(content) / rate


def curves_file(path: Path) -> Path:
    write_csv(path, [MotionFrame.neutral()] * 40, Fraction(25))
    return path


@pytest.mark.parametrize("fps", ["10", "23.976", "25", "29.97", "60"])
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2)])
def test_the_sound_lies_beside_the_frames(talkcli, portrait, tmp_path, fps, rate, channels) -> None:
    speech = make_audio(tmp_path / "v.wav", tone(0.73, rate, channels), rate)
    out = tmp_path / "frames"
    given = ("animate", portrait, speech, "-o", out, "--fps", fps, "--with-sound", "--json")
    answer = talkcli(*given)
    assert answer.code == 0, answer.err
    said = json.loads(answer.out)
    assert said["outputs"] == [str(out)] and said["sound_files"] == [str(out / "sound.wav")]
    assert not any("sound" in text for text in said["warnings"])
    found, original = samples(out / "sound.wav"), samples(speech)
    assert found[:2] == original[:2] == (rate, channels)
    np.testing.assert_array_equal(found[2], original[2])
    frames = sorted(out.glob("*.png"))
    assert len(frames) == said["frames"]
    assert abs(len(frames) / Fraction(said["fps"]) - Fraction(seconds(out / "sound.wav"))) <= (
        Fraction(1, 2) / Fraction(said["fps"])
    )


@pytest.mark.parametrize("suffix", ["mp3", "ogg", "m4a", "flac"])
def test_sound_of_other_formats(talkcli, portrait, tmp_path, suffix) -> None:
    speech = make_audio(tmp_path / f"v.{suffix}", tone(0.6, 44100), 44100)
    answer = talkcli("animate", portrait, speech, "-o", tmp_path / "f", "--with-sound", "--json")
    assert answer.code == 0, answer.err
    read = []
    for path in (speech, tmp_path / "f" / "sound.wav"):
        with open_sound(path) as sound:
            read.append(np.concatenate(list(sound.track(44100, 1))))
            assert abs(sound.duration_s - json.loads(answer.out)["frames"] / 25) <= 0.02
    np.testing.assert_allclose(read[0], read[1], rtol=0, atol=1e-6)


def test_a_driver_without_sound_is_told(talkcli, portrait, tmp_path) -> None:
    curves = curves_file(tmp_path / "c.csv")
    given = ("animate", portrait, "--driver", curves, "-o", tmp_path / "f", "--with-sound")
    answer = talkcli(*given, "--json")
    assert answer.code == 0, answer.err
    said = json.loads(answer.out)
    assert said["sound_files"] == [] and "no sound to write" in said["warnings"][0]
    assert len(list((tmp_path / "f").iterdir())) == said["frames"] == 40


def test_without_the_option_the_sound_is_left_out_and_the_option_named(
    talkcli, portrait, speech, tmp_path
) -> None:
    answer = talkcli("animate", portrait, speech, "-o", tmp_path / "f", "--json")
    said = json.loads(answer.out)
    assert said["sound_files"] == [] and not list(tmp_path.rglob("sound.wav"))
    assert "the sound is left out" in said["warnings"][0] and "--with-sound" in said["warnings"][0]


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", None])
def test_a_video_holds_its_sound(talkcli, engine, portrait, speech, tmp_path, name) -> None:
    output = () if name is None else ("-o", tmp_path / name)
    answer = talkcli("animate", portrait, speech, *output, "--with-sound")
    assert answer.code == 2 and "--with-sound is for a folder of PNGs" in answer.error
    assert engine.calls == [] and not list(tmp_path.glob("*.m*"))


def test_a_plan_names_the_sound(talkcli, portrait, speech, tmp_path) -> None:
    assert talkcli("reconstruct", portrait, "-p", tmp_path / "me").code == 0
    given = ("drive", tmp_path / "me", speech, "-o", tmp_path / "f", "--with-sound")
    given += ("--views", "-20,20", "--layout", "files")
    plan = json.loads(talkcli(*given, "--dry-run", "--json").out)
    assert not list(tmp_path.rglob("sound.wav"))
    run = json.loads(talkcli(*given, "--json").out)
    assert set(plan) == set(run)
    assert plan["sound_files"] == run["sound_files"]
    assert run["sound_files"] == [str(tmp_path / f"f_{yaw}" / "sound.wav") for yaw in (-20, "+20")]
    for path in run["sound_files"]:
        assert seconds(Path(path)) == 0.5
    assert "sound.wav" in talkcli(*given, "-y", "--dry-run").err


def test_a_second_run_replaces_frames_and_sound(talkcli, portrait, speech, tmp_path) -> None:
    given = ("animate", portrait, speech, "-o", tmp_path / "f")
    assert talkcli(*given, "--with-sound").code == 0
    assert talkcli(*given, "--with-sound").code == 3
    assert talkcli(*given, "--with-sound", "-y", "--fps", "10").code == 0
    assert len(list((tmp_path / "f").iterdir())) == 6
    assert talkcli(*given, "-y").code == 0
    assert not (tmp_path / "f" / "sound.wav").exists()


def test_an_input_in_the_folder_is_not_replaced(talkcli, portrait, speech, tmp_path) -> None:
    out = tmp_path / "f"
    assert talkcli("animate", portrait, speech, "-o", out, "--with-sound").code == 0
    before = (out / "sound.wav").read_bytes()
    answer = talkcli("animate", portrait, out / "sound.wav", "-o", out, "-y")
    assert answer.code == 3 and "lies in" in answer.error
    assert (out / "sound.wav").read_bytes() == before
    assert len(list(out.iterdir())) == 13


def test_render_has_no_sound_to_write(talkcli, portrait, tmp_path) -> None:
    assert talkcli("reconstruct", portrait, "-p", tmp_path / "me").code == 0
    given = ("render", tmp_path / "me", "--set", "video.with_sound=true", "--camera-path", "arc")
    given += ("--fps", "2", "--size", "64")
    for name in ("a.mp4", "turn"):
        answer = talkcli(*given, "-o", tmp_path / name)
        assert answer.code == 0, answer.err
    assert talkcli("render", tmp_path / "me", "--with-sound").code == 2


def test_folders_of_views_between_whole_degrees(talkcli, portrait, speech, tmp_path) -> None:
    given = ("animate", portrait, speech, "-o", tmp_path / "f", "--with-sound", "--size", "64")
    answer = talkcli(*given, "--views", "-7.5,22.25", "--layout", "files")
    assert answer.code == 0, answer.err
    for name in ("f_-7.5", "f_+22.25"):
        assert len(list((tmp_path / name).iterdir())) == 13
        assert seconds(tmp_path / name / "sound.wav") == 0.5
    told = talkcli(*given[:5], "--views", "-7.5,22.25", "--layout", "files", "-y").err
    assert "the sound is left out" in told


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_while_frames_and_sound_are_written(tmp_path: Path, number: int) -> None:
    desk = campaign.make_desk(tmp_path / "desk", campaign.DUMMY, 1.0, frame_s=0.05)
    given = ("animate", desk.portrait, desk.speech, "-p", "a.talk", "-o", "f", "--with-sound")
    out = desk.folder / "f"
    process = desk.start(*given)
    while not list(desk.folder.glob(".talkcli-*/00003.png")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(number)
    campaign.ended(process)
    assert not out.exists()
    assert (campaign.hidden(desk.folder) == []) == (number != signal.SIGKILL)
    again = desk.run(*given, "--json")
    assert again.code == 0, again.err
    assert again.made == {"portrait": False, "avatar": False}
    assert campaign.hidden(desk.folder) == []
    assert len(list(out.glob("*.png"))) == desk.frames
    np.testing.assert_array_equal(samples(out / "sound.wav")[2], samples(desk.speech)[2])
