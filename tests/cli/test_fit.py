"""``talkcli fit`` and what is done with a fitted avatar, on the command line."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from talkcli.cli import app
from talkcli.engines import registry
from talkcli.engines.audio_plane.make import CHECKPOINT, PREVIEW
from tests.cli.conftest import Answer, write_tone
from tests.support.subjects import FRAMES, SIDE, project_of

#: A fit as small as it may be.
SMALL = ("--set", "fit.crop=192", "--set", "fit.shapes=2", "--set", "fit.hidden=8")
FIT_KEYS = {"frames", "held_out", "splats", "iterations", "seconds", "before", "after"}


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any) -> Any:
    """Run a command line in this process; the cache lies in the test's folder."""
    monkeypatch.setenv("TALKCLI_CACHE", str(tmp_path / "cache"))

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        code = app.run([str(argument) for argument in arguments])
        return Answer(code, *capsys.readouterr())

    return call


@pytest.fixture
def project(prepared: Path, tmp_path: Path) -> Path:
    """A project with a prepared clip."""
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"what it was made from")
    return project_of(prepared, tmp_path / "me.talk", clip).root


@pytest.fixture(scope="module")
def fitted(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a fitted avatar, fitted by the command; tests must not change it."""
    place = tmp_path_factory.mktemp("fitted")
    (place / "clip.mp4").write_bytes(b"what it was made from")
    root = project_of(prepared, place / "me.talk", place / "clip.mp4").root
    assert app.run(["fit", str(root), "--iterations", "3", *SMALL, "-q"]) == 0
    return root


def test_a_plan_then_a_fit_then_its_reuse(command: Any, project: Path) -> None:
    plan = json.loads(command("fit", project, "--iterations", 2, *SMALL, "--dry-run", "--json").out)
    assert [s["status"] for s in plan["stages"]] == ["would reuse", "would execute"]
    assert plan["dry_run"] and plan["fit"] is None and not (project / "avatar").exists()
    answer = command("fit", "-p", project, "--iterations", 2, *SMALL, "--json")
    assert answer.code == 0, answer.err
    made = json.loads(answer.out)
    assert [s["status"] for s in made["stages"]] == ["reused", "executed"]
    assert [s["key"] for s in made["stages"]] == [s["key"] for s in plan["stages"]]
    assert set(made["fit"]) == FIT_KEYS
    assert (made["fit"]["frames"], made["fit"]["held_out"], made["fit"]["iterations"]) == (32, 8, 2)
    assert set(made["fit"]["before"]) == set(made["fit"]["after"]) == {"face", "mouth", "head"}
    assert {"build", "fit"} <= set(made["seconds"]) and made["recipe"]["engine"] == "audio-plane"
    work = next((project / "fit").iterdir())
    assert sorted(path.name for path in work.iterdir()) == [CHECKPOINT, PREVIEW]
    again = command("fit", project, "--iterations", 2, *SMALL)
    assert again.code == 0 and "fit: reused" in again.err
    # What the person at the keyboard wants to know.
    assert "8 frames that were held out: face" in again.err and "before the fit" in again.err
    further = command("fit", project, "--iterations", 4, *SMALL, "--resume", "--json")
    assert json.loads(further.out)["fit"]["iterations"] == 4
    assert len(list((project / "fit").iterdir())) == 1 and len(list(project.glob("avatar/*/"))) >= 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "fit needs a project; give the directory that preprocess has made"),
        (("none.talk",), 3, "holds no talkcli project; make one with: talkcli preprocess CLIP -p"),
        (("clip.mp4",), 3, "clip.mp4 is a file, not a project directory; prepare a clip with"),
        (("me.talk", "-p", "me.talk"), 2, "named twice"),
        (("me.talk", "--set", "engine=portrait"), 2, "makes avatars of one picture, not of a clip"),
        (("me.talk", "--set", "engine=magic"), 2, "audio-plane"),
        (("me.talk", "--iterations", "0"), 2, "--iterations must be between 1 and"),
        (("me.talk", "--minutes", "-1"), 2, "audio-plane.toml lists the settings"),
        (("me.talk", "--set", "fit.crop=64"), 2, "fit.crop must be between 192 and"),
        (("me.talk", "--set", "fit.held_out=0.01"), 2, "audio-plane.toml lists the settings"),
        (("me.talk", "--recipe", "audio"), 2, "audio-plane, audio-plane-fast"),
    ],
)
def test_what_cannot_be_fitted_is_told_in_a_line(
    command: Any, project: Path, monkeypatch: Any, arguments: tuple, code: int, message: str
) -> None:
    monkeypatch.chdir(project.parent)
    answer = command("fit", *arguments)
    assert answer.code == code and message in answer.error, answer.err
    assert not (project / "avatar").exists() and not (project / "fit").exists()


def test_a_project_without_a_clip(command: Any, project: Path) -> None:
    shutil.rmtree(project / "prepare")
    answer = command("fit", project)
    assert answer.code == 3 and "holds no prepared clip" in answer.error
    assert f"talkcli preprocess CLIP -p {project}" in answer.error


def test_a_clip_with_too_few_frames(command: Any, avatar: Any, tmp_path: Path) -> None:
    from tests.support.subjects import save_prepared

    (tmp_path / "few").mkdir()
    save_prepared(avatar, tmp_path / "few", 20)
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"short")
    root = project_of(tmp_path / "few", tmp_path / "me.talk", clip).root
    answer = command("fit", root, *SMALL)
    assert answer.code == 3 and "has 16 frames to fit to, 25 are needed" in answer.error
    assert not list((root / "avatar").glob("*")) and not list((root / "fit").glob("*"))


def test_a_damaged_clip_is_told_of(command: Any, project: Path) -> None:
    """Its hashes tell before anything follows what it holds."""
    file = next(project.glob("prepare/*/clip.safetensors"))
    file.write_bytes(file.read_bytes()[::-1])
    answer = command("fit", project)
    assert answer.code == 3 and "talkcli preprocess" in answer.error


def test_neither_the_clip_nor_a_whole_checkpoint_is_needed(
    command: Any, fitted: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(fitted, tmp_path / "me.talk"))
    (fitted.parent / "clip.mp4").rename(tmp_path / "elsewhere.mp4")
    try:
        told = command("status", root).out
        assert "changed or gone" in told and "avatar:" in told
        judged = command("eval", "--subject", root)
        assert judged.code == 3 and "is gone or has changed" in judged.error
        (checkpoint,) = (root / "fit").glob(f"*/{CHECKPOINT}")
        checkpoint.write_bytes(b"nothing")
        answer = command("fit", root, "--iterations", 1, *SMALL)
        assert answer.code == 3 and f"{checkpoint} " in answer.error
        assert "delete it and start again" in answer.error
        checkpoint.unlink()
        assert command("fit", root, "--iterations", 1, *SMALL).code == 0
    finally:
        (tmp_path / "elsewhere.mp4").rename(fitted.parent / "clip.mp4")


def test_a_fitted_avatar_is_never_silently_another_one(
    command: Any, fitted: Path, tmp_path: Path
) -> None:
    speech = write_tone(tmp_path / "speech.wav", 0.4)
    given = ("drive", fitted, speech, "-o", tmp_path / "a.mp4", "--engine")
    answer = command(*given, "portrait")
    assert answer.code == 3 and not (tmp_path / "a.mp4").exists()
    assert "is of the engine audio-plane" in answer.err and "leave out --engine" in answer.err


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--views", "-30,0,30"),
        ("--bg", "#00ff00"),
        ("--still",),
        ("--bg", "transparent"),
    ],
)
def test_a_fitted_avatar_speaks(
    command: Any, fitted: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    speech = write_tone(tmp_path / "speech.wav", 0.4)
    frames = tmp_path / "frames"
    answer = command("drive", fitted, speech, *options, "--fps", 10, "-o", frames, "--json")
    assert answer.code == 0, answer.err
    made = json.loads(answer.out)
    assert made["frames"] == 4 and made["height"] == SIDE
    assert made["width"] == (3 * SIDE if "--views" in options else SIDE)
    pictures = [np.array(Image.open(path)) for path in sorted(frames.iterdir())]
    # Its person moves, unless told to keep still.
    moved = max(int(np.abs(one.astype(int) - pictures[0]).max()) for one in pictures)
    assert moved > 10 or "--still" in options
    corner = pictures[0][4, 80]
    if "#00ff00" in options:
        assert corner.tolist()[:3] == [0, 255, 0]
    if "transparent" in options:
        assert corner[3] == 0 and pictures[0][80, 80, 3] == 255
    assert any("guessed" in text for text in made["warnings"]) is ("--views" in options)


def test_curves_drive_a_fitted_avatar(command: Any, fitted: Path, tmp_path: Path) -> None:
    from talkcli.motion.curves import write_csv
    from tests.support.subjects import known_motion

    write_csv(tmp_path / "take.csv", known_motion().frames, Fraction(25))
    answer = command("drive", fitted, "--driver", tmp_path / "take.csv", "-o", tmp_path / "frames",
                     "--json")  # fmt: skip
    assert answer.code == 0, answer.err
    assert len(list((tmp_path / "frames").iterdir())) == FRAMES


def test_stills_export_and_status(command: Any, fitted: Path, tmp_path: Path) -> None:
    drawn = command("render", fitted, "--views", "-20,0,20", "-o", tmp_path / "v.png", "--json")
    assert drawn.code == 0, drawn.err
    assert Image.open(tmp_path / "v.png").size == (3 * SIDE, SIDE)
    head = command("export", fitted, "-o", tmp_path / "head.ply", "--json")
    assert head.code == 0 and json.loads(head.out)["splats"] > 10_000
    told = command("status", fitted).out
    assert told.count("avatar:") == told.count("prepare:") == 1


def test_the_engine_is_in_the_registry_and_in_its_recipes() -> None:
    from talkcli.config import load_recipe, shipped_recipes

    assert registry.engine("audio-plane").source == "clip"
    names = [name for name in shipped_recipes() if name.startswith("audio-plane")]
    assert {"audio-plane", "audio-plane-fast"} <= set(names)
    recipes = {name: load_recipe(Path(name)) for name in names}
    assert {recipe.engine for recipe in recipes.values()} == {"audio-plane"}
    fast, usual = recipes["audio-plane-fast"].fit, recipes["audio-plane"].fit
    assert fast.crop < usual.crop and fast.iterations < usual.iterations
    keys = [registry.engine("audio-plane").key(recipe) for recipe in recipes.values()]
    assert len({json.dumps(key, sort_keys=True) for key in keys}) == len(keys)
