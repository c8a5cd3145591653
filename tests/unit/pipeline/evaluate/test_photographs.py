"""How closely lips follow, on people: FaceMesh takes small openings of drawn lips for shut ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from talkcli.config import PortraitConfig, Recipe
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.build import build_portrait
from talkcli.media.image import read_image
from talkcli.pipeline.evaluate.compare import Context, EvalSettings, compare
from talkcli.pipeline.evaluate.reenact import Reenactment, reenact
from talkcli.pipeline.stages.avatar import fit_picture
from talkcli.pipeline.stages.inputs import Clip
from talkcli.progress import SilentReporter, Stopwatch
from talkcli.tracking.landmarks import Face, detect_faces
from tests.support.films import CODEC, FPS, talking
from tests.support.media import make_clip, run_ffmpeg
from tests.support.portraits import SMALL, SMALL_SIDE


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TALKCLI_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def person(shared_data: Path) -> PortraitAvatar:
    """The avatar of a photograph with closed lips."""
    picture = read_image(shared_data / "portraits" / "AniPortrait__ref_images_solo.jpg")
    found = detect_faces(np.ascontiguousarray(picture[..., :3]))[0]
    picture, points = fit_picture(picture, found.points, SMALL_SIDE)
    return build_portrait(picture, Face(points), SMALL, SMALL_SIDE)


@pytest.mark.slow
def test_lips_of_half_the_size(person: PortraitAvatar, tmp_path: Path) -> None:
    real, half = (
        Clip(make_clip(tmp_path / f"{lips}.mp4", talking(person, 60, lips), str(FPS), *CODEC))
        for lips in (1.0, 0.5)
    )
    found = compare(
        "half", half, real, Context(Recipe(), EvalSettings(), SilentReporter(), Stopwatch())
    )
    # Measured .48 and .955.
    assert found.value("lip_aperture_size") == pytest.approx(0.5, abs=0.12)
    assert (found.value("lip_aperture_r") or 0.0) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("by", ["video", "speech"])
def test_a_clip_made_again_beats_its_baselines(shared_data: Path, tmp_path: Path, by: str) -> None:
    clip = tmp_path / "clip.mp4"
    run_ffmpeg("-i", shared_data / "clips" / "LipNet__GRID_bbaf2n.mp4", "-crf", "12", clip)
    recipe = Recipe(portrait=PortraitConfig(fit_iterations=4))
    context = Context(recipe, EvalSettings(lag_s=0.02), SilentReporter(), Stopwatch())
    task = Reenactment(clip, by, baselines=True)
    (ours, shut, still), _ = reenact(task, context, overwrite=False)
    # Measured .99 by the tracked face, .94 by the sound.
    assert (ours.value("lip_aperture_r") or 0.0) > (0.97 if by == "video" else 0.9)
    assert (ours.value("place_error") or 9.0) < 0.5
    assert (ours.value("lmd_lips") or 9.0) < min(
        one.value("lmd_lips") or 0.0 for one in (shut, still)
    )
    if by == "video":
        faces = [one.value("psnr_face") or 0.0 for one in (ours, shut, still)]
        assert faces[0] > max(faces[1:])
