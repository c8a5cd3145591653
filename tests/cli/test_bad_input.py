"""Whatever is wrong with the input: one line that says what, why and the mend, and the code."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from talkcli.tracking.landmarks import Face
from tests.cli.conftest import make_face, write_tone


def no_video(folder: Path) -> bool:
    """Nothing but inputs and the cache is left, no hidden halves either."""
    return not [path for path in folder.rglob("*") if path.suffix in (".mp4", ".part")]


def test_no_face(talkcli, engine, portrait, speech, tmp_path) -> None:
    engine.faces = []
    answer = talkcli("animate", portrait, speech)
    assert answer.code == 3
    assert "no face was found in" in answer.error and "from the front" in answer.error
    assert no_video(tmp_path)


@pytest.mark.parametrize("shown", [0, 9])
def test_a_transparent_portrait(talkcli, engine, portrait, speech, tmp_path, shown) -> None:
    with Image.open(portrait) as picture:
        alpha = Image.new("L", picture.size)
        alpha.paste(255, (0, 0, shown, shown))
        clear = picture.convert("RGBA")
    clear.putalpha(alpha)
    clear.save(tmp_path / "clear.png")
    engine.faces = []
    answer = talkcli("animate", tmp_path / "clear.png", speech)
    assert answer.code == 3
    if shown:
        assert "is transparent, which counts as white" in answer.err
    else:
        assert "clear.png is fully transparent" in answer.error and "magick" in answer.error


@pytest.mark.parametrize("kind", ["webp", "avif"])
def test_an_animated_picture_that_cannot_be_played(talkcli, portrait, tmp_path, kind) -> None:
    path = tmp_path / f"moving.{kind}"
    frames = [Image.new("RGB", (64, 48), (40 * k, 0, 0)) for k in range(5)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)
    for command in (("animate", portrait, "--driver", path), ("qc", path)):
        answer = talkcli(*command)
        assert answer.code == 3
        assert f"animated {kind} picture of 5 frames" in answer.error
        assert f"magick {path}" in answer.error


def test_several_faces_take_the_largest_with_a_warning(talkcli, engine, portrait, speech) -> None:
    engine.faces = [make_face(200), make_face(150, (40, 50))]
    answer = talkcli("animate", portrait, speech)
    assert answer.code == 0
    assert "warning:" in answer.err and "2 faces" in answer.err and "--face" in answer.err
    chosen = talkcli("animate", portrait, speech, "-y", "--face", "1")
    assert chosen.code == 0 and "warning:" not in chosen.err


def test_face_out_of_range(talkcli, engine, portrait, speech) -> None:
    engine.faces = [make_face(200), make_face(150, (40, 50))]
    answer = talkcli("animate", portrait, speech, "--face", "2")
    assert answer.code == 3 and "no face 2" in answer.error and "--face 0 to 1" in answer.error


def test_face_is_a_number(talkcli, portrait, speech) -> None:
    answer = talkcli("animate", portrait, speech, "--face", "left")
    assert answer.code == 2 and "--face" in answer.error


def test_tiny_face_is_refused_with_its_size(talkcli, engine, portrait, speech) -> None:
    engine.faces = [make_face(60)]
    answer = talkcli("animate", portrait, speech)
    assert answer.code == 3 and "60 px" in answer.error and "64" in answer.error


def test_small_face_and_profile_are_warnings(talkcli, engine, portrait, speech) -> None:
    engine.faces = [make_face(100, yaw=-52)]
    answer = talkcli("animate", portrait, speech)
    assert answer.code == 0
    assert "only 100 px" in answer.err and "-52°" in answer.err
    # Known from the stored stage, so a second run says it again.
    assert "only 100 px" in talkcli("animate", portrait, speech, "-y").err


@pytest.mark.parametrize("which", ["portrait", "speech"])
@pytest.mark.parametrize("kind", ["missing", "directory", "empty", "text", "truncated"])
def test_unusable_files(talkcli, engine, portrait, speech, tmp_path, which, kind) -> None:
    path = {"portrait": portrait, "speech": speech}[which]
    whole = path.read_bytes()
    path.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind != "missing":
        # A sound that breaks off is played up to there; one that breaks off in its header is not.
        end = len(whole) // 2 if which == "portrait" else 30
        text = {"empty": b"", "text": b"just words\n" * 9, "truncated": whole[:end]}
        path.write_bytes(text[kind])
    answer = talkcli("animate", portrait, speech)
    assert answer.code == 3
    assert path.name in answer.error and ";" in answer.error
    expected = {"missing": "does not exist", "directory": "directory", "empty": "0 bytes",
                "text": "text", "truncated": ""}  # fmt: skip
    assert expected[kind] in answer.error
    assert engine.calls == [] and no_video(tmp_path)


def test_silent_speech_keeps_the_mouth_shut_and_says_so(talkcli, portrait, tmp_path) -> None:
    silent = write_tone(tmp_path / "silent.wav", 0.5, loudness=0.0)
    answer = talkcli("animate", portrait, silent)
    assert answer.code == 0 and "silent" in answer.err and "mouth stays shut" in answer.err


def test_a_tenth_of_a_second_works(talkcli, portrait, tmp_path) -> None:
    short = write_tone(tmp_path / "short.wav", 0.1)
    assert talkcli("animate", portrait, short, "--fps", "30").code == 0


def test_existing_output_is_kept_before_any_work(talkcli, engine, portrait, speech) -> None:
    video = portrait.with_name("portrait_speech.mp4")
    video.write_text("precious")
    answer = talkcli("animate", portrait, speech)
    assert answer.code == 3 and "exists" in answer.error and "-y" in answer.error
    assert video.read_text() == "precious" and engine.calls == []
    assert talkcli("animate", portrait, speech, "-y").code == 0
    assert video.stat().st_size > 1000


def test_output_may_not_be_an_input(talkcli, engine, portrait, speech) -> None:
    answer = talkcli("animate", portrait, speech, "-o", speech, "-y")
    assert answer.code == 3 and "also an input" in answer.error
    assert engine.calls == []


def test_output_folder_that_cannot_be_written(talkcli, engine, portrait, speech, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    answer = talkcli("animate", portrait, speech, "-o", tmp_path / "file" / "a.mp4")
    assert answer.code == 3 and "-o" in answer.error
    assert engine.calls == []


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_output_folder_without_rights(talkcli, engine, portrait, speech, tmp_path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    answer = talkcli("animate", portrait, speech, "-o", tmp_path / "locked" / "a.mp4")
    assert answer.code == 3 and "-o" in answer.error
    assert engine.calls == []


def test_output_with_an_unknown_ending(talkcli, engine, portrait, speech, tmp_path) -> None:
    answer = talkcli("animate", portrait, speech, "-o", tmp_path / "a.gif")
    assert answer.code == 2 and ".gif" in answer.error and engine.calls == []


def test_project_directory_that_cannot_be_written(talkcli, portrait, speech, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    answer = talkcli("animate", portrait, speech, "-p", tmp_path / "file" / "project")
    assert answer.code == 3 and "-p" in answer.error


def test_full_disk_while_an_avatar_is_stored(
    talkcli, engine, portrait, speech, tmp_path, monkeypatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("talkcli.files.atomic.os.fsync", full)
        answer = talkcli("animate", portrait, speech)
    assert answer.code == 3 and "space" in answer.error
    assert no_video(tmp_path) and not list((tmp_path / "cache").rglob(".tmp-*"))
    assert talkcli("animate", portrait, speech).code == 0


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 KB, where the tests may mount one."""
    place = tmp_path / "tiny"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(place)]
    try:
        made = subprocess.run(mount, check=False, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no mount command")
    if made.returncode:
        pytest.skip("may not mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_full_disk_while_a_video_is_written(talkcli, portrait, tiny_disk, tmp_path) -> None:
    speech = write_tone(tmp_path / "long.wav", 4)
    answer = talkcli("animate", portrait, speech, "-o", tiny_disk / "a.mp4")
    assert answer.code == 3 and "space" in answer.error
    assert no_video(tiny_disk)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_leaves_no_video_and_resumes(
    talkcli, engine, portrait, speech, tmp_path, number
) -> None:
    engine.before_every_frame(lambda: len(engine.seen) == 5 and os.kill(os.getpid(), number))
    answer = talkcli("animate", portrait, speech)
    assert answer.code == 5
    assert "interrupted" in answer.error and "resumes" in answer.error
    assert no_video(tmp_path)
    engine.before_every_frame(lambda: None)
    again = talkcli("animate", portrait, speech)
    assert again.code == 0 and engine.calls == ["detect", "build"]


def test_interrupt_that_shows_as_another_error(talkcli, engine, portrait, speech) -> None:
    def stop() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise RuntimeError("the encoder died of the same signal")

    engine.before_every_frame(stop)
    answer = talkcli("animate", portrait, speech)
    assert answer.code == 5 and "interrupted" in answer.error


class Destroyed:
    """Interrupts the run as it is destroyed, where Python drops exceptions."""

    def __del__(self) -> None:
        interrupted()


def interrupted() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)


@pytest.mark.parametrize(
    "somewhere", [Destroyed, ctypes.CFUNCTYPE(None)(interrupted)], ids=["destructor", "callback"]
)
def test_an_interrupt_where_python_drops_it(
    talkcli, engine, portrait, speech, tmp_path, monkeypatch, somewhere
) -> None:
    def detect(rgb: np.ndarray) -> list[Face]:
        somewhere()
        time.sleep(5)
        return engine.detect_faces(rgb)

    monkeypatch.setattr("talkcli.tracking.landmarks.detect_faces", detect)
    answer = talkcli("animate", portrait, speech)
    assert answer.code == 5 and "interrupted" in answer.error
    assert engine.calls == [] and no_video(tmp_path)
    assert "ignored" not in answer.err


def test_a_bug_is_one_line_and_a_traceback_with_debug(talkcli, engine, portrait, speech) -> None:
    def fail() -> None:
        raise ZeroDivisionError("of all things\nin two lines")

    engine.before_every_frame(fail)
    answer = talkcli("animate", portrait, speech)
    assert answer.code == 1
    assert "ZeroDivisionError" in answer.error and "--debug" in answer.error
    shown = talkcli("animate", portrait, speech, "--debug")
    assert shown.code == 1 and "Traceback" in shown.err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ModuleNotFoundError("No module named 'torch'"), 4, "talkcli doctor"),
        (MemoryError(), 1, "--size"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 3, "/x"),
        (OSError(errno.ENOSPC, "No space left on device"), 3, "disk is full"),
    ],
)
def test_errors_of_libraries_are_explained(
    talkcli, engine, portrait, speech, error, code, words
) -> None:
    def fail() -> None:
        raise error

    engine.before_every_frame(fail)
    answer = talkcli("animate", portrait, speech)
    assert answer.code == code and words in answer.error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--views", "-30,50"], "--views must be between -45 and 45"),
        (["--views", "left"], "--views must be a number"),
        (["--views", "0,0", "--layout", "files"], "twice"),
        (["--views", "0", "--camera-path", "orbit"], "omit one"),
        (["--layout", "grid"], "strip, files"),
        (["--size", "511"], "even"),
        (["--size", "9000"], "between 0 and 4096"),
        (["--size", "2"], "at least 64"),
        (["--bg", "rad"], "not a colour"),
        (["--fps", "fast"], "fps"),
        (["--fps", "1000"], "1000"),
        (["--head-motion", "2"], "between 0 and 1"),
        (["--seed", "-1"], "--seed"),
        (["--bg", "#12345"], "not a colour"),
        (["--backend", "metal"], "auto, cpu, cuda, reference"),
        (["--set", "video.crf"], "has no '='"),
        (["--set", "video.crg=3"], "is it video.crf?"),
        (["--recipe", "nowhere.toml"], "cannot be read"),
        (["--nonsense"], "--nonsense"),
        (["-o", ""], "names no file"),
        (["-o", "deep/.."], "names no file"),
        (["-o", "deep/.mp4"], "names no file"),
        (["-o", "-"], "stdout"),
    ],
)
def test_usage_errors(talkcli, engine, portrait, speech, arguments, words) -> None:
    answer = talkcli("animate", portrait, speech, *arguments)
    assert answer.code == 2 and words in answer.error
    assert engine.calls == []


@pytest.mark.parametrize("option", ["--set", "--bg", "--project"])
def test_an_endless_value_does_not_fill_the_screen(talkcli, portrait, speech, option) -> None:
    answer = talkcli("animate", portrait, speech, option, "#" * 100_000 + "=1")
    assert answer.code in (2, 3) and len(answer.error) < 2500
    assert answer.error.startswith("talkcli: ") and " ... " in answer.error


@pytest.mark.parametrize("background", ["nowhere.png", ".", "speech"])
def test_background_that_is_no_picture(talkcli, engine, portrait, speech, background) -> None:
    background = speech if background == "speech" else background
    answer = talkcli("animate", portrait, speech, "--bg", background)
    assert answer.code == 3 and str(background) in answer.error
    assert engine.calls == []


def test_frames_do_not_replace_their_background(talkcli, portrait, speech, tmp_path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    shutil.copy(portrait, frames / "00000.png")
    arguments = ("--bg", frames / "00000.png", "-o", frames, "-y")
    answer = talkcli("animate", portrait, speech, *arguments)
    assert answer.code == 3 and "lies in" in answer.error
    assert [path.name for path in frames.iterdir()] == ["00000.png"]


def test_renderer_that_is_not_here(talkcli, engine, portrait, speech, monkeypatch) -> None:
    obstacle = ("no CUDA device", "use --backend cpu")
    monkeypatch.setattr("talkcli.render.backend.cuda_obstacle", lambda: obstacle)
    answer = talkcli("animate", portrait, speech, "--backend", "cuda")
    assert answer.code == 4 and "no CUDA device" in answer.error and "cpu" in answer.error
    assert engine.calls == []


def test_all_mistakes_are_told_together(talkcli, portrait, speech) -> None:
    answer = talkcli(
        "animate", portrait, speech, "--size", "7", "--lip-strength", "x", "--fps", "0"
    )
    assert "--size" in answer.error and "--lip-strength" in answer.error


@pytest.mark.parametrize(
    ("expression", "words"),
    [("jawOpn=.5", "is it jawOpen?"), ("jawOpen=2", "between 0 and 1"), ("jawOpen", "between")],
)
def test_bad_expressions(talkcli, portrait, tmp_path, expression, words) -> None:
    talkcli("reconstruct", portrait, "-p", tmp_path / "me")
    answer = talkcli("render", "-p", tmp_path / "me", "--expr", expression)
    assert answer.code == 2 and words in answer.error


def test_drive_without_an_avatar(talkcli, speech, tmp_path) -> None:
    answer = talkcli("drive", "-p", tmp_path, speech)
    assert answer.code == 3 and "talkcli reconstruct" in answer.error
