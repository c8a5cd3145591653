"""``talkcli preprocess`` on made clips: results where one is possible, else one clear line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkcli.cli import app
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.layers.clip import PreparedClip
from tests.support import docs
from tests.support.films import CODEC, talking
from tests.support.media import make_clip, quadrants, run_ffmpeg

FRAMES = 40
Call = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture(scope="module")
def film(avatar: PortraitAvatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample portrait talks for 1.6 seconds; a sound runs with it."""
    folder = tmp_path_factory.mktemp("film")
    silent = make_clip(folder / "silent.mp4", talking(avatar, FRAMES), "25", *CODEC)
    speech = Path(__file__).parents[2] / "assets" / "speech.wav"
    run_ffmpeg("-i", silent, "-i", speech, "-c:v", "copy", "-shortest", folder / "film.mp4")
    return folder / "film.mp4"


@pytest.fixture
def preprocess(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Call:
    """Run the command with ``--json`` in this process: exit code, answer, and stderr."""

    def call(*arguments: object) -> tuple[int, dict[str, Any], str]:
        capsys.readouterr()
        given = ("preprocess", *arguments, "-p", tmp_path / "me", "--json")
        code = app.run([str(argument) for argument in given])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, json.loads(out) if out else {}, err

    return call


def edited(film: Path, path: Path, *options: str) -> Path:
    """The film, changed by ffmpeg."""
    run_ffmpeg("-i", film, *options, path)
    return path


def prepared(answer: dict[str, Any]) -> PreparedClip:
    return PreparedClip.load(Path(answer["stages"][0]["path"]))


def test_a_clip_is_prepared_once(preprocess: Call, film: Path) -> None:
    code, answer, _ = preprocess(film)
    assert code == 0
    rows = docs.table(docs.section(docs.page("cli.md"), "## JSON output"), "key", "commands")
    keys = {
        docs.quoted(key)[0]
        for key, commands, *_ in rows
        if commands == "all" or "preprocess" in commands.split(", ")
    }
    assert set(answer) == keys
    told, clip = answer["prepared"], prepared(answer)
    assert told["frames"] == told["usable"] == len(clip) == FRAMES
    assert Path(answer["contact_sheet"]).is_file()
    height, width = clip.plate.shape[:2]
    assert (clip.width, clip.height) == (width, height) == (told["width"], told["height"])
    assert clip.best < 0.8 * FRAMES and clip.speech is not None
    assert len(clip.speech) == pytest.approx(100 * clip.duration_s, abs=1)
    # A person in the middle, nothing at the upper corners.
    matte = clip.matte(5)
    assert matte[len(matte) // 2, len(matte) // 2] > 250 and matte[:8, :8].max() < 30
    # The crop is the box of the frame: that of the best one is the best picture's.
    number = int(np.flatnonzero(clip.stored == clip.best)[0])
    x, y, side = (int(value) for value in clip.box)
    top, left = max(0, y), max(0, x)
    whole = clip.best_picture()[top : y + side, left : x + side]
    part = clip.crop(number)[top - y :, left - x :][: whole.shape[0], : whole.shape[1]]
    # JPEG of quality 95 keeps this portrait within 2 levels on average.
    assert clip.crop_pixels == side and np.abs(whole.astype(int) - part).mean() < 3
    again = preprocess(film)[1]
    assert again["stages"][0]["status"] == "reused"
    plan = preprocess(film, "--dry-run")[1]
    assert plan["stages"][0]["status"] == "would reuse" and plan["prepared"] == told
    other = preprocess(film, "--dry-run", "--segment", "0-1")[1]
    assert other["stages"][0]["status"] == "would execute" and other["prepared"] is None


@pytest.mark.slow
def test_a_segment_by_name(preprocess: Call, film: Path) -> None:
    code, answer, _ = preprocess(film, "--segment", "0.4-1.2")
    clip = prepared(answer)
    assert code == 0 and len(clip) == 20
    assert clip.segment == pytest.approx((0.4, 1.2), abs=1e-6)
    assert clip.curves.times[0] == pytest.approx(0.02, abs=1e-6)


@pytest.mark.slow
def test_a_clip_without_sound(preprocess: Call, film: Path, tmp_path: Path) -> None:
    code, answer, _ = preprocess(edited(film, tmp_path / "silent.mp4", "-an", "-c:v", "copy"))
    assert code == 0 and not answer["prepared"]["sound"]
    assert any(text.startswith("sound") for text in answer["prepared"]["verdict"]["missing"])
    assert prepared(answer).speech is None


@pytest.mark.slow
def test_frames_without_the_face_are_left_out(preprocess: Call, film: Path, tmp_path: Path) -> None:
    # Over the face only, in a colour like it: a blank picture would be a cut.
    place = "x=iw*0.3:y=ih*0.15:w=iw*0.4:h=ih*0.5:color=0x907868:t=fill"
    blank = f"drawbox={place}:enable='between(n,12,19)'"
    code, answer, _ = preprocess(edited(film, tmp_path / "gap.mp4", "-vf", blank, "-crf", "12"))
    assert code == 0
    clip = prepared(answer)
    assert not clip.usable[12:20].any() and clip.usable[:10].all() and clip.usable[24:].all()
    assert np.isfinite(clip.points).all() and not set(range(12, 20)) & set(clip.stored.tolist())


@pytest.mark.slow
def test_a_cut_ends_the_segment(preprocess: Call, film: Path, tmp_path: Path) -> None:
    height, width = 240, 240
    test = make_clip(tmp_path / "bars.mp4", quadrants(30, height, width), "25", *CODEC)
    both = tmp_path / "both.mp4"
    graph = (
        f"[0:v]scale={width}:{height},setsar=1,fps=25[a];[1:v]setsar=1,fps=25[b];"
        "[a][b]concat=n=2:v=1:a=0"
    )
    run_ffmpeg("-i", film, "-i", test, "-filter_complex", graph, "-crf", "12", both)
    code, answer, _ = preprocess(both)
    assert code == 0
    assert answer["prepared"]["verdict"]["cuts"] == 1
    assert answer["prepared"]["frames"] == FRAMES


@pytest.mark.slow
def test_a_phone_that_was_turned(preprocess: Call, film: Path, tmp_path: Path) -> None:
    lying = edited(film, tmp_path / "lying.mp4", "-vf", "transpose=1", "-an")
    flagged = tmp_path / "flagged.mp4"
    run_ffmpeg("-display_rotation:v:0", "90", "-i", lying, "-c", "copy", flagged)
    code, answer, _ = preprocess(flagged)
    assert code == 0 and answer["prepared"]["turned"] == 0
    upright = preprocess(film)[1]["prepared"]
    told = answer["prepared"]
    assert (told["width"], told["height"]) == (upright["width"], upright["height"])
    # Encoded once more, so the face is measured a little differently.
    assert told["box"] == pytest.approx(upright["box"], abs=12)


@pytest.mark.slow
@pytest.mark.parametrize("rate", ["5", "120"])
def test_frame_rates(preprocess: Call, film: Path, tmp_path: Path, rate: str) -> None:
    code, answer, _ = preprocess(edited(film, tmp_path / "rate.mp4", "-r", rate))
    assert code == 0
    clip = prepared(answer)
    assert float(clip.fps) == pytest.approx(float(rate), rel=0.02)
    # ffmpeg shows a last frame that is due half a frame later, and one more.
    assert clip.duration_s == pytest.approx(FRAMES / 25, abs=2.0 / float(rate) + 0.05)


@pytest.mark.slow
def test_uneven_frames_keep_their_times(preprocess: Call, film: Path, tmp_path: Path) -> None:
    uneven = "select='not(between(n,10,19)*mod(n,2))'"
    clip_file = edited(film, tmp_path / "uneven.mp4", "-vf", uneven, "-fps_mode", "vfr", "-an")
    code, answer, _ = preprocess(clip_file)
    assert code == 0
    times = prepared(answer).curves.times
    assert len(times) == FRAMES - 5
    assert times[-1] == pytest.approx((FRAMES - 0.5) / 25, abs=0.03)


@pytest.mark.slow
def test_half_a_second(preprocess: Call, film: Path, tmp_path: Path) -> None:
    code, answer, _ = preprocess(edited(film, tmp_path / "short.mp4", "-frames:v", "12"))
    assert code == 0 and answer["prepared"]["frames"] == 12
    assert answer["prepared"]["verdict"]["good_enough_for"] == ["an avatar of its best frame"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("{picture}",), 3, "is a picture"),
        (("{sound}",), 3, "no video"),
        (("{blank}",), 3, "no face"),
        (("{film}", "--segment", "9-4"), 2, "--segment"),
        (("{film}", "--segment", "soon"), 2, "--segment"),
        (("{film}", "--segment", "30-40"), 3, "ends at"),
        (("{film}", "--face", "3"), 3, "there is no face 3"),
        (("{film}", "--set", "tracking.landmarks=nowhere.task"), 4, "does not exist"),
        (("missing.mp4",), 3, "does not exist"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_bad_input_is_one_line(
    preprocess: Call, film: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    assets = Path(__file__).parents[2] / "assets"
    places = {
        "{picture}": assets / "portrait.png",
        "{sound}": assets / "speech.wav",
        "{film}": film,
    }
    if "{blank}" in arguments:
        places["{blank}"] = make_clip(tmp_path / "blank.mp4", quadrants(20, 240, 240))
    given = [places.get(argument, argument) for argument in arguments]
    found, _, err = preprocess(*given)
    lines = [line for line in err.splitlines() if line.startswith("talkcli: ")]
    assert found == code and len(lines) == 1 and words in lines[0], err


def test_the_verdict_in_words(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["preprocess", str(film), "-p", str(tmp_path / "me")]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "frames are usable" in err and "good enough for: " in err and "missing: length" in err
