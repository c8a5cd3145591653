"""Every command from its arguments to its answer."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import write_tone


def test_animate_makes_a_video_and_says_so(talkcli, engine, portrait, speech) -> None:
    answer = talkcli("animate", portrait, speech, "--json")
    assert answer.code == 0, answer.err
    result = json.loads(answer.out)
    video = portrait.with_name("portrait_speech.mp4")
    assert result["outputs"] == [str(video)]
    assert video.stat().st_size > 1000
    assert (result["frames"], result["fps"], result["width"], result["height"]) == (
        12,
        "25",
        320,
        240,
    )
    assert result["duration_s"] == 0.5 and result["backend"] == "cpu"
    assert {"load", "track", "build", "motion", "encode"} <= set(result["seconds"])
    assert result["total_seconds"] > 0 and result["real_time_factor"] > 0
    assert result["first_frame_s"] > 0
    assert [(s["stage"], s["status"]) for s in result["stages"]] == [
        ("portrait", "executed"),
        ("avatar", "executed"),
    ]
    assert engine.seen == [None] * 12


def test_second_speech_reuses_the_avatar(talkcli, engine, portrait, speech, tmp_path) -> None:
    talkcli("animate", portrait, speech)
    other = write_tone(tmp_path / "other.wav", 0.2)
    answer = talkcli("animate", portrait, other, "--json")
    stages = json.loads(answer.out)["stages"]
    assert [stage["status"] for stage in stages] == ["reused", "reused"]
    assert engine.calls == ["detect", "build"]


def test_same_picture_elsewhere_reuses_the_avatar(talkcli, engine, portrait, speech) -> None:
    talkcli("animate", portrait, speech)
    copy = portrait.with_name("copy.png")
    copy.write_bytes(portrait.read_bytes())
    assert talkcli("animate", copy, speech).code == 0
    assert engine.calls == ["detect", "build"]


def test_other_face_is_another_avatar(talkcli, engine, portrait, speech) -> None:
    engine.faces *= 2
    talkcli("animate", portrait, speech)
    answer = talkcli("animate", portrait, speech, "-y", "--face", "1", "--json")
    statuses = [stage["status"] for stage in json.loads(answer.out)["stages"]]
    assert statuses == ["reused", "executed"]


@pytest.mark.parametrize("form", [["--views", "-30,0,30"], ["--views=-30,0,30"]])
def test_views_go_side_by_side(talkcli, engine, portrait, speech, form) -> None:
    answer = talkcli("animate", portrait, speech, *form, "--json")
    result = json.loads(answer.out)
    assert (result["width"], result["height"]) == (960, 240)
    assert engine.seen[:4] == [-30.0, 0.0, 30.0, -30.0]


def test_views_as_files(talkcli, engine, portrait, speech, tmp_path) -> None:
    out = tmp_path / "new" / "folder" / "talk.mp4"
    answer = talkcli(
        "animate", portrait, speech, "--views", "-30,0,30", "--layout", "files", "-o", out, "--json"
    )
    result = json.loads(answer.out)
    assert [Path(path).name for path in result["outputs"]] == [
        "talk_-30.mp4",
        "talk_0.mp4",
        "talk_+30.mp4",
    ]
    assert all(Path(path).stat().st_size > 1000 for path in result["outputs"])
    assert result["width"] == 320


@pytest.mark.parametrize(
    ("path", "first", "middle"), [("orbit", (0, 12), (-12, 12)), ("arc", (-30, -25), (-5, 5))]
)
def test_camera_paths_move_the_head(talkcli, engine, portrait, speech, path, first, middle) -> None:
    assert talkcli("animate", portrait, speech, "--camera-path", path).code == 0
    yaws = engine.seen
    assert first[0] <= yaws[0] <= first[1]
    assert middle[0] <= yaws[6] <= middle[1]
    assert max(yaws) > 25 and min(yaws) < -25


@pytest.mark.parametrize(
    ("fps", "exact"),
    [
        ("10", "10"),
        ("23.976", "24000/1001"),
        ("29.97", "30000/1001"),
        ("60", "60"),
        ("12.5", "25/2"),
    ],
)
def test_frame_rates(talkcli, portrait, speech, fps, exact) -> None:
    answer = talkcli("animate", portrait, speech, "--fps", fps, "--json")
    result = json.loads(answer.out)
    assert result["fps"] == exact
    assert abs(result["frames"] / Fraction(exact) - Fraction(1, 2)) <= 1 / Fraction(exact) / 2


def test_motion_options_and_seed_arrive(talkcli, engine, portrait, speech) -> None:
    options = ["--head-motion", "0.4", "--still", "--blink-rate", "9", "--lip-strength", "1.3"]
    options += ["--mood", "warm", "--expressiveness", "1.5"]
    assert talkcli("animate", portrait, speech, *options, "--seed", "5").code == 0
    assert dataclasses.asdict(engine.settings) == {
        "head_motion": 0.4,
        "still": True,
        "blink_rate": 9.0,
        "lip_strength": 1.3,
        "mood": "warm",
        "expressiveness": 1.5,
        "speech_model": "speech",
        "voice": None,
        "states": False,
    }
    assert engine.seed == 5


def test_every_portrait_has_a_seed_of_its_own_and_keeps_it(
    talkcli, engine, portrait, speech, tmp_path
) -> None:
    from PIL import Image

    other = tmp_path / "other.png"
    Image.effect_noise((320, 240), 50).convert("RGB").save(other)
    seeds = []
    for picture in (portrait, other, portrait):
        assert talkcli("animate", picture, speech, "-y").code == 0
        seeds.append(engine.seed)
    assert seeds[0] == seeds[2] != seeds[1]


@pytest.mark.parametrize(("offset", "samples"), [("0", 8000), ("100", 9600), ("-100", 6400)])
def test_sync_offset_shifts_what_the_mouth_hears(
    talkcli, engine, portrait, speech, offset, samples
) -> None:
    assert talkcli("animate", portrait, speech, "--sync-offset-ms", offset).code == 0
    assert engine.sound == samples


def test_transparent_video_carries_alpha(talkcli, portrait, speech, tmp_path) -> None:
    answer = talkcli("animate", portrait, speech, "--bg", "transparent", "--json")
    assert json.loads(answer.out)["outputs"][0].endswith(".mov")
    frames = tmp_path / "frames"
    assert talkcli("animate", portrait, speech, "--bg", "transparent", "-o", frames).code == 0
    assert len(list(frames.glob("*.png"))) == 12
    refused = talkcli("animate", portrait, speech, "--bg", "transparent", "-o", tmp_path / "a.mp4")
    assert refused.code == 2 and "transparency" in refused.error


def test_recipe_set_and_option_win_in_this_order(talkcli, portrait, speech, tmp_path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text("seed = 1\n[video]\nfps = 10\ncrf = 30\nsize = 96\n")
    answer = talkcli(
        "animate", portrait, speech, "--recipe", recipe, "--set", "video.crf=20",
        "--set", "video.fps=20", "--fps", "50", "--json",
    )  # fmt: skip
    result = json.loads(answer.out)["recipe"]
    assert (result["seed"], result["video"]["size"]) == (1, 96)
    assert (result["video"]["crf"], result["video"]["fps"]) == (20, "50")


def test_dry_run_makes_nothing(talkcli, engine, portrait, speech, tmp_path) -> None:
    answer = talkcli("animate", portrait, speech, "--dry-run", "--json")
    result = json.loads(answer.out)
    assert result["dry_run"] and result["frames"] == 12
    assert [stage["status"] for stage in result["stages"]] == ["would execute", "would execute"]
    # Faces are looked for, since the avatar's key depends on them; nothing is built or kept.
    assert engine.calls == ["detect"] and not list(tmp_path.glob("*.mp4"))
    assert not list((tmp_path / "cache").glob("projects/*"))
    made = json.loads(talkcli("animate", portrait, speech, "--json").out)
    assert plan_of(made) == plan_of(result)
    answer = talkcli("animate", portrait, speech, "-y", "--dry-run", "--json")
    stages = json.loads(answer.out)["stages"]
    assert [stage["status"] for stage in stages] == ["would reuse", "would reuse"]
    assert "nothing was made" in talkcli("animate", portrait, speech, "-y", "--dry-run").err


def plan_of(result: dict) -> dict:
    """What a plan must foretell: the keys of the answer and of the stages, places, sizes."""
    stages = [(stage["stage"], stage["key"], stage["path"]) for stage in result["stages"]]
    foretold = ("outputs", "project", "frames", "fps", "width", "height", "duration_s", "recipe")
    known = {name: result[name] for name in (*foretold, "backend", "clip") if name in result}
    return {"names": sorted(result), "stages": stages, **known}


@pytest.mark.parametrize(
    "command",
    [
        ["reconstruct", "PORTRAIT", "--ply", "head.ply"],
        ["drive", "PROJECT", "SPEECH", "--views", "-20,20"],
        ["render", "PROJECT", "--expression", "jawOpen=.4", "-o", "a.png"],
        ["render", "PROJECT", "--camera-path", "arc", "--fps", "5", "-o", "a.mp4"],
        ["export", "PROJECT"],
    ],
)
def test_a_plan_foretells_the_run(
    talkcli, engine, portrait, speech, tmp_path, monkeypatch, command
) -> None:
    monkeypatch.chdir(tmp_path)
    if command[0] != "reconstruct":
        assert talkcli("reconstruct", portrait, "-p", tmp_path / "me").code == 0
    places = {"PORTRAIT": portrait, "SPEECH": speech, "PROJECT": tmp_path / "me"}
    words = [places.get(word, word) for word in command]
    plan = talkcli(*words, "--dry-run", "--json")
    assert plan.code == 0, plan.err
    files = sorted(tmp_path.rglob("*"))
    run = talkcli(*words, "--json")
    assert run.code == 0, run.err
    assert plan_of(json.loads(plan.out)) == plan_of(json.loads(run.out))
    assert len(sorted(tmp_path.rglob("*"))) > len(files)


def test_progress_and_table_go_to_stderr(talkcli, portrait, speech) -> None:
    answer = talkcli("animate", portrait, speech)
    assert answer.out == ""
    for word in ("track:", "build:", "render:", "/s", "real-time factor", "portrait_speech.mp4"):
        assert word in answer.err
    again = talkcli("animate", portrait, speech, "-y")
    assert "build: reused" in again.err


def test_quiet_says_nothing(talkcli, portrait, speech) -> None:
    answer = talkcli("animate", portrait, speech, "-q")
    assert (answer.code, answer.out, answer.err) == (0, "", "")


def test_reconstruct_then_drive_then_render(talkcli, engine, portrait, speech, tmp_path) -> None:
    project = tmp_path / "me"
    answer = talkcli("reconstruct", portrait, "-p", project, "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["project"] == str(project)

    answer = talkcli("drive", "-p", project, speech, "-o", tmp_path / "drive.mp4", "--json")
    assert answer.code == 0, answer.err
    result = json.loads(answer.out)
    assert [(s["stage"], s["status"]) for s in result["stages"]] == [("avatar", "reused")]
    assert (tmp_path / "drive.mp4").exists()

    answer = talkcli("render", "-p", project, "--views", "-20,20", "--expr", "jawOpen=.5", "--json")
    assert answer.code == 0, answer.err
    result = json.loads(answer.out)
    assert result["outputs"] == [str(tmp_path / "me_views.png")]
    assert (result["width"], result["height"]) == (640, 240)
    assert engine.motions[-1].expression[17] == 0.5
    assert engine.calls == ["detect", "build"]


def test_render_writes_videos_too(talkcli, engine, portrait, tmp_path) -> None:
    project = tmp_path / "me"
    talkcli("reconstruct", portrait, "-p", project)
    answer = talkcli("render", "-p", project, "-o", tmp_path / "turn.mp4", "--fps", "10", "--json")
    assert json.loads(answer.out)["frames"] == 80
    assert max(engine.seen) > 29
    refused = talkcli("render", "-p", project, "-o", tmp_path / "a.png", "--camera-path", "arc")
    assert refused.code == 2 and "video" in refused.error


def test_reconstruct_chooses_a_folder_beside_the_picture(talkcli, portrait) -> None:
    answer = talkcli("reconstruct", portrait, "--json")
    assert json.loads(answer.out)["project"] == str(portrait.with_name("portrait.talk"))


def test_drive_rebuilds_a_damaged_avatar(talkcli, engine, portrait, speech, tmp_path) -> None:
    project = tmp_path / "me"
    talkcli("reconstruct", portrait, "-p", project)
    (avatar,) = project.glob("avatar/*/picture.png")
    avatar.write_bytes(b"rotten")
    answer = talkcli("drive", "-p", project, speech, "-o", tmp_path / "a.mp4")
    assert answer.code == 0 and "damaged" in answer.err
    assert engine.calls == ["detect", "build", "build"]
    avatar.write_bytes(b"rotten")
    portrait.unlink()
    answer = talkcli("drive", "-p", project, speech, "-o", tmp_path / "b.mp4")
    assert answer.code == 3 and "damaged" in answer.error and "reconstruct" in answer.error


def test_status_of_a_project_and_of_the_cache(talkcli, portrait, speech, tmp_path) -> None:
    assert "no avatar" in talkcli("status").out
    talkcli("animate", portrait, speech)
    (project,) = json.loads(talkcli("status", "--json").out)["projects"]
    assert project["inputs"] == {"portrait": str(portrait)}
    assert [stage["stage"] for stage in project["stages"]] == ["avatar", "portrait"]
    assert project["changed_inputs"] == []
    talkcli("reconstruct", portrait, "-p", tmp_path / "me")
    portrait.write_bytes(b"other")
    answer = talkcli("status", "-p", tmp_path / "me")
    assert "portrait.png (changed or gone)" in answer.out
    assert talkcli("status", "-p", tmp_path / "none").code == 3


def test_a_colour_by_its_name(talkcli, portrait, speech, tmp_path) -> None:
    answer = talkcli("animate", portrait, speech, "--bg", "red", "-o", tmp_path / "red")
    assert answer.code == 0 and "the sound is left out" in answer.err
    first = np.asarray(Image.open(tmp_path / "red" / "00000.png"))
    assert first[0, 0].tolist() == [255, 0, 0]


def test_a_strip_that_no_video_can_hold_is_refused(talkcli, engine, portrait, speech) -> None:
    views = ",".join(["0"] * 60)
    answer = talkcli("animate", portrait, speech, "--views", views)
    assert answer.code == 2 and "--layout files" in answer.error and engine.seen == []


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ([], ["--version", "--install-completion", "--help"]),
        (["animate"], ["--overwrite", "--json", "--still", "--with-sound", "--help"]),
        (["status"], ["--prune", "--help"]),
        (["train"], ["--help"]),
        (["train", "speech"], ["--free-only", "--help"]),
        (["train", "face"], ["--keep-mean", "--help"]),
    ],
)
def test_help_shows_no_type_for_flags(talkcli, command, flags) -> None:
    told = talkcli(*command, "--help").out
    assert "bool" not in told.lower()
    for flag in flags:
        (line,) = (line for line in told.splitlines() if f" {flag} " in line[:24])
        assert "<" not in line


def test_the_project_is_an_argument_or_an_option(talkcli, portrait, tmp_path) -> None:
    assert talkcli("reconstruct", portrait, "-p", tmp_path / "me").code == 0
    for command in (["status"], ["export", "-o", tmp_path / "a.ply"]):
        assert talkcli(*command, tmp_path / "me").code == 0
        twice = talkcli(*command, tmp_path / "me", "-p", tmp_path / "me")
        assert twice.code == 2 and "named twice" in twice.error
    told = talkcli("status", tmp_path / "me").out
    assert told.count("portrait:") == 1
    old = talkcli("render", "-p", tmp_path / "me", "--expr", "jawOpen=.5", "--json")
    assert old.code == 0, old.err


def test_the_cache_is_cleared(talkcli, portrait, speech, tmp_path) -> None:
    assert talkcli("animate", portrait, speech).code == 0
    endless = talkcli("status", "--prune", "--max-gb", "inf", "--max-age-days", "inf", "--json")
    assert json.loads(endless.out)["removed"] == []
    senseless = talkcli("status", "--prune", "--max-gb", "nan")
    assert senseless.code == 2 and "--max-gb" in senseless.error
    answer = json.loads(talkcli("status", "--prune", "--max-gb", "0", "--json").out)
    assert len(answer["removed"]) == 1 and answer["freed_bytes"] > 0
    assert json.loads(talkcli("status", "--json").out)["projects"] == []
    assert talkcli("status", "--prune", tmp_path).code == 2


def test_version_and_help(talkcli) -> None:
    from talkcli import __version__

    assert talkcli("--version").out == f"talkcli {__version__}\n"
    bare = talkcli()
    assert bare.code == 0
    for command in ("animate", "reconstruct", "drive", "render", "status", "doctor"):
        assert command in bare.out


def test_shell_completion(talkcli, monkeypatch) -> None:
    monkeypatch.setenv("_TALKCLI_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "talkcli rec")
    monkeypatch.setenv("COMP_CWORD", "1")
    answer = talkcli()
    assert (answer.code, answer.out.split()) == (0, ["reconstruct"])


def test_an_output_behind_a_folder_that_never_was_is_measured(
    talkcli, portrait, speech, tmp_path
) -> None:
    answer = talkcli("animate", portrait, speech, "-o", tmp_path / "none" / ".." / "talk.mp4")
    assert answer.code == 0 and (tmp_path / "talk.mp4").is_file()
    assert "talk.mp4 (0.0 KB)" not in answer.err
