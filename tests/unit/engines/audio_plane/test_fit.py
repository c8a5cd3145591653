"""A fit as a whole: it learns, can be broken off, and tells how it went."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkcli.engines.audio_plane import fit as module
from talkcli.engines.audio_plane.checkpoint import load_subject
from talkcli.engines.audio_plane.fit import SubjectFit
from talkcli.engines.audio_plane.frames import FitFrames
from talkcli.engines.audio_plane.make import (
    CHECKPOINT,
    PREVIEW,
    REPORT,
    split_frames,
    unfitted,
)
from talkcli.errors import InputError
from talkcli.layers.clip import PreparedClip
from talkcli.media.image import read_image
from talkcli.optim import loop
from talkcli.optim.loop import Budget, LoopSettings
from talkcli.progress import SilentReporter
from talkcli.render.cpu import Workspace, rasterize
from tests.support.subjects import FIT


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture(scope="module")
def clip(prepared: Path) -> PreparedClip:
    return PreparedClip.load(prepared)


@pytest.fixture(scope="module")
def started(clip: PreparedClip, subject: Path) -> SubjectFit:
    """A fit that has taken some steps, from an avatar that was fitted already."""
    avatar = load_subject(subject)
    portrait = replace(avatar.portrait, correction=None)
    frames = FitFrames(portrait, clip, avatar.clip.frames)
    fit = SubjectFit(portrait, frames, FIT, *split_frames(clip, 0.2))
    progress = loop.Progress(0, 0.0, [])
    for _ in range(6):
        loop._step(fit, progress, LoopSettings())
    return fit


def test_it_learns(subject: Path) -> None:
    report = json.loads((subject / REPORT).read_text("utf-8"))
    assert (report["frames"], report["held_out"], report["iterations"]) == (32, 8, FIT.iterations)
    assert report["seconds"] > 0 and report["splats"] > 1000
    for name in ("face", "mouth", "head"):
        # A dozen steps bring 2 to 3 dB.
        assert report["after"][name] > report["before"][name] + 1, name


def test_what_is_fitted_is_what_is_played(started: SubjectFit) -> None:
    frames, fitted = started._frames, started._frames.fitted
    drawn = np.union1d(fitted.keep, fitted.around)
    played = started.avatar()
    for number in (4, 17, 38):
        splats = played.part(drawn).pose(frames.poses[number])
        camera = frames.camera(number)
        rgb, alpha = rasterize(splats, camera, Workspace())[:2]
        shape = camera.height, camera.width, -1
        picture = rgb.reshape(shape) + (1 - alpha.reshape(shape)) * frames.plate
        error = np.clip(picture, 0, 1) - started.picture(number)
        assert -10 * np.log10((error**2).mean()) > 45


def test_splats_that_hardly_change_are_left_alone_in_play(started: SubjectFit) -> None:
    shapes = np.zeros((2, 5, 7), np.float32)
    shapes[0, 1, 0], shapes[1, 3, 3], shapes[0, 4, 6] = 6e-4, 0.011, -9e-4
    shapes[:, 2] = 0.9 * module._LEAST_OFFSET
    assert module._moved(shapes).tolist() == [False, True, False, True, True]


def test_a_preview_shows_held_out_frames_above_their_targets(started: SubjectFit) -> None:
    preview = started.preview()
    height, width = started._frames.plate.shape[:2]
    assert preview.shape == (2 * height, 4 * width, 3)
    np.testing.assert_array_equal(preview[height:, :width], started._frames.target(32))


def test_noise_changes_what_a_step_draws_and_nothing_else(started: SubjectFit) -> None:
    rng = np.random.default_rng
    one, same, other = (started._noise(rng(seed)).numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    spread = FIT.feature_noise * started.basis.scale.numpy()
    assert np.std(one / spread) == pytest.approx(1, abs=0.3)


def trained(started: SubjectFit, place: Path, killed_at: int | None = None) -> SubjectFit:
    """A fit of a dozen steps from the beginning, or from a checkpoint."""
    frames = started._frames
    fit = SubjectFit(frames.avatar, frames, FIT, *split_frames(frames.clip, 0.2), seed=3)
    step = fit.step

    def killed(iteration: int, generator: np.random.Generator) -> Any:
        if iteration == killed_at:
            raise Killed
        return step(iteration, generator)

    fit.step = killed  # type: ignore[method-assign]
    settings = LoopSettings(3, evaluate_every=100)
    loop.train(fit, Budget(FIT.iterations), settings, place / CHECKPOINT, SilentReporter())
    return fit


def test_killed_and_resumed_it_ends_as_an_unbroken_fit(
    started: SubjectFit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_S", -1.0)
    (tmp_path / "whole").mkdir()
    unbroken = trained(started, tmp_path / "whole")
    for moment in (1, 7):
        with pytest.raises(Killed):
            trained(started, tmp_path, moment)
    resumed = trained(started, tmp_path)
    for name, value in unbroken.parameters().items():
        found = resumed.parameters()[name].detach().numpy()
        np.testing.assert_array_equal(found, value.detach().numpy(), err_msg=name)
    assert resumed.scores == unbroken.scores


def test_checkpoint_and_preview_lie_in_the_work_folder(subject: Path) -> None:
    work = subject.parent / "work"
    assert sorted(path.name for path in work.iterdir()) == [CHECKPOINT, PREVIEW]
    assert read_image(work / PREVIEW).shape[2] == 4


def test_a_checkpoint_of_another_clip_is_told_of(started: SubjectFit, tmp_path: Path) -> None:
    frames = started._frames
    other = replace(frames, clip=replace(frames.clip, usable=np.arange(len(frames.clip)) < 30))
    assert len(other.fitted.keep) != len(frames.fitted.keep)
    trained(started, tmp_path)
    fit = SubjectFit(frames.avatar, other, FIT, *split_frames(frames.clip, 0.2))
    budget, settings = Budget(20), LoopSettings()
    with pytest.raises(InputError, match="is of another fit"):
        loop.train(fit, budget, settings, tmp_path / CHECKPOINT, SilentReporter(), beyond=True)


def test_the_unfitted_avatar_is_that_of_the_source_frame(clip: PreparedClip, subject: Path) -> None:
    fitted = load_subject(subject)
    bare = unfitted(clip, fitted)
    assert (bare.source, bare.held_out) == (fitted.source, fitted.held_out)
    assert bare.portrait.correction is None and bare.portrait.frame == fitted.portrait.frame
    assert len(bare.portrait.splats) == len(fitted.portrait.splats)
    np.testing.assert_allclose(bare.clip.rotation, fitted.clip.rotation, atol=1e-4)
    np.testing.assert_allclose(bare.clip.translation, fitted.clip.translation, atol=1e-4)
