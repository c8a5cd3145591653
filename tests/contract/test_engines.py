"""What every engine must keep: made, saved and loaded, an avatar shows the same picture."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import talkcli
from talkcli.avatar import Avatar, PictureSource, View
from talkcli.compose.blend import Compositor
from talkcli.config import PortraitConfig, Recipe
from talkcli.engines import registry
from talkcli.engines.audio_plane.avatar import SubjectAvatar
from talkcli.engines.audio_plane.checkpoint import save_subject
from talkcli.engines.audio_plane.make import fit_subject
from talkcli.engines.mggtalk.checkpoint import save_decoded
from talkcli.engines.mggtalk.refine import refined
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.build import build_portrait
from talkcli.engines.portrait.checkpoint import save_avatar
from talkcli.engines.registry import Engine, engine
from talkcli.errors import InputError, UsageError
from talkcli.pipeline.stages.avatar import load_avatar
from talkcli.progress import SilentReporter, Stopwatch
from talkcli.project import Project, StageRun
from talkcli.project.run import Run
from talkcli.render.player import draw_head, player
from talkcli.render.solid import solidify
from talkcli.sections import MggTalkConfig, SplatPortraitConfig
from talkcli.tracking.landmarks import Face
from talkcli.types import MotionFrame
from tests.support import dummy_engine, subjects
from tests.support.decoders import random_decoder, random_weights
from tests.support.heads import write_network
from tests.support.portraits import motion_of

RECIPE = Recipe(portrait=PortraitConfig(fit_iterations=3))
SIDE = 320
MOTIONS = {
    "wide": (motion_of(jawOpen=0.9, mouthLowerDownLeft=0.4, mouthLowerDownRight=0.4), View()),
    "parted": (motion_of(jawOpen=0.15), View()),
    "blink": (motion_of(eyeBlinkLeft=1.0, eyeBlinkRight=1.0), View()),
    "turn": (motion_of(), View(25.0)),
    "nod": (replace(motion_of(mouthSmileLeft=0.7), rotation=np.float32([8, -5, 3])), View(-20.0)),
}


@pytest.fixture(scope="module", autouse=True)
def dummy() -> object:
    """The dummy engine is an engine like any other: a folder and this line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.ENGINES, "dummy", "tests.support.dummy_engine")
        yield


@pytest.fixture(
    scope="module", params=["portrait", "splat-portrait", "mggtalk", "audio-plane", "dummy"]
)
def made(
    request: pytest.FixtureRequest,
    picture: np.ndarray,
    face: Face,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Engine, Path]:
    """An engine and the directory that it has written an avatar into."""
    maker, place = engine(request.param), tmp_path_factory.mktemp(request.param)
    if maker.source == "clip":
        return maker, request.getfixturevalue("subject")
    weights = MggTalkConfig(weights=str(random_weights(place)))
    heads = SplatPortraitConfig(weights=str(write_network(place / "heads.safetensors")))
    recipe = replace(RECIPE, mggtalk=weights, splat_portrait=heads)
    run = Run(Project.create(place / "me.talk"), recipe, SilentReporter(), Stopwatch())
    (place / "avatar").mkdir()
    maker.make(PictureSource(picture, face.points, SIDE), run, place / "avatar")
    return maker, place / "avatar"


def shown(avatar: Avatar, name: str) -> np.ndarray:
    """The finished picture of one of the motions."""
    motion, view = MOTIONS[name]
    head = draw_head(player("cpu"), avatar, motion, view)
    solidify(*head)
    return Compositor(avatar.backdrop(motion), size=SIDE).frame(*head)


@pytest.mark.parametrize("name", MOTIONS)
def test_loaded_twice_it_shows_the_same(made: tuple[Engine, Path], name: str) -> None:
    pictures = [shown(made[0].load(made[1]), name) for _ in range(2)]
    np.testing.assert_array_equal(*pictures)


SAVERS = {"portrait": save_avatar, "mggtalk": save_decoded, "audio-plane": save_subject}


@pytest.mark.parametrize("maker", SAVERS)
@pytest.mark.parametrize("name", MOTIONS)
def test_saved_and_loaded_it_shows_what_was_made(
    name: str, maker: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kept = {"portrait": "built", "mggtalk": "decoded", "audio-plane": "fitted"}
    made = request.getfixturevalue(kept[maker])
    SAVERS[maker](made, tmp_path)
    loaded = engine(maker).load(tmp_path)
    before, after = (shown(avatar, name).astype(int) for avatar in (made, loaded))
    # Half floats: a colour near 1 is stored to .0005, a 255th of which is .12 levels; sums of a
    # few splats round to the neighbouring level now and then.
    assert np.abs(before - after).max() <= 1


@pytest.fixture(scope="module")
def built(picture: np.ndarray, face: Face) -> PortraitAvatar:
    """A portrait avatar that was never on the disk."""
    return build_portrait(picture, face, RECIPE.portrait, SIDE)


@pytest.fixture(scope="module")
def decoded(built: PortraitAvatar) -> PortraitAvatar:
    """The same with what a decoder adds, which was never on the disk either."""
    return refined(built, random_decoder())


@pytest.fixture(scope="module")
def fitted(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> SubjectAvatar:
    """A fitted avatar that was never on the disk."""
    place = tmp_path_factory.mktemp("fitted")
    source = subjects.clip_source(prepared, place / "work")
    return fit_subject(source, subjects.run_in(place / "me.talk"))[0]


def test_info_camera_and_backdrop_fit_together(made: tuple[Engine, Path]) -> None:
    maker, place = made
    avatar = maker.load(place)
    assert avatar.info.engine == maker.name
    for motion, view in MOTIONS.values():
        camera, splats = avatar.camera(motion, view), avatar.pose(motion, view)
        assert camera.viewmat.shape == (4, 4) and camera.K.shape == (3, 3)
        assert len(splats) == avatar.info.splats
        assert splats.covars.shape == (len(splats), 6)
    backdrop = avatar.backdrop(MotionFrame.neutral())
    assert backdrop is avatar.backdrop(MotionFrame.neutral())
    assert backdrop.source.shape == (avatar.info.height, avatar.info.width, 4)
    assert backdrop.plate.shape == (camera.height, camera.width, 3)
    assert backdrop.torso is not None and backdrop.torso.shape == backdrop.source.shape[:2]


def test_neutral_head_exports(made: tuple[Engine, Path], tmp_path: Path) -> None:
    from talkcli.pipeline.export import export_avatar

    avatar = made[0].load(made[1])
    neutral = avatar.neutral()
    assert neutral.covars is not None and np.isfinite(neutral.means.numpy()).all()
    export_avatar(avatar, tmp_path / "head.ply", overwrite=False)
    header = (tmp_path / "head.ply").read_bytes().split(b"end_header")[0].decode()
    assert int(header.split("element vertex ")[1].split()[0]) <= avatar.info.splats
    with pytest.raises(UsageError, match=r"\.ply"):
        export_avatar(avatar, tmp_path / "head.obj", overwrite=False)


@pytest.mark.parametrize("recipe", [{}, {"engine": "unheard-of"}, {"engine": ["portrait"]}])
def test_avatars_of_unknown_engines_are_told_of(tmp_path: Path, recipe: dict) -> None:
    entry = StageRun("avatar", "0" * 64, tmp_path, False, 0.0, "", recipe)
    with pytest.raises(InputError, match="talkcli reconstruct"):
        load_avatar(entry)


@pytest.mark.parametrize("spoil", ["cut", "empty", "noise", "gone"])
def test_damaged_files_are_told_of(made: tuple[Engine, Path], tmp_path: Path, spoil: str) -> None:
    if made[0].name == "dummy":
        pytest.skip("what the dummy does with damage shows nothing")
    place = Path(shutil.copytree(made[1], tmp_path / "avatar"))
    for file in (path for path in place.rglob("*") if path.is_file()):
        content = file.read_bytes()
        file.unlink()
        damaged = {"cut": content[: len(content) // 2], "empty": b"", "noise": content[::-1]}
        if spoil in damaged:
            file.write_bytes(damaged[spoil])
    command = "fit" if made[0].source == "clip" else "reconstruct"
    with pytest.raises(InputError, match=f"talkcli {command}"):
        made[0].load(place)
    with pytest.raises(InputError, match=f"talkcli {command}"):
        made[0].check(place)


def test_unknown_engines_are_told_of() -> None:
    with pytest.raises(UsageError, match="audio-plane, dummy, mggtalk, portrait, splat-portrait"):
        engine("unheard-of")


def test_a_dummy_engine_goes_through_every_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One folder and one line in the registry are all that a new engine takes."""
    monkeypatch.setenv("TALKCLI_CACHE", str(tmp_path / "cache"))
    root = Path(__file__).parents[2]
    subject = talkcli.reconstruct(
        root / "assets" / "portrait.png",
        run=talkcli.RunOptions(project=tmp_path / "me.talk"),
        engine="dummy",
        size=96,
    )
    record = json.loads(next(subject.project.glob("avatar/*/stage.json")).read_text())
    assert record["recipe"]["engine"] == "dummy"
    speech = root / "assets" / "speech.wav"
    video = talkcli.animate(subject, speech, output=tmp_path / "a", size=96, fps=2)
    assert len(list((tmp_path / "a").glob("*.png"))) == video.facts["frames"]
    again = talkcli.animate(
        root / "assets" / "portrait.png", speech, output=tmp_path / "b", engine="dummy", fps=1
    )
    assert [stage.executed for stage in again.stages] == [True, True]
    drawn = talkcli.draw(subject, ["jawOpen=.5"], output=tmp_path / "v.png", views=(-20, 20))
    assert Image.open(drawn.outputs[0]).width == drawn.facts["width"]
    assert talkcli.export(subject, tmp_path / "head.ply").facts["splats"] == 1
    motion = [MotionFrame.neutral()] * 3
    pictures = list(talkcli.frames(talkcli.load(subject.project), motion, size=96))
    assert len(pictures) == 3 and pictures[0].dtype == np.uint8
    assert dummy_engine.ENGINE.name == talkcli.load(subject.project).avatar.info.engine
