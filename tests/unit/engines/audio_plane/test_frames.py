"""Frames of a clip as targets of a fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from talkcli.avatar import SOURCE_VIEW
from talkcli.compose.body import follow
from talkcli.engines.audio_plane import frames as module
from talkcli.engines.audio_plane.checkpoint import load_subject
from talkcli.engines.audio_plane.frames import FitFrames
from talkcli.engines.audio_plane.make import split_frames
from talkcli.engines.audio_plane.surface import FIT_FADE
from talkcli.engines.portrait.splats import Layer
from talkcli.errors import InputError
from talkcli.face.topology import LIPS
from talkcli.layers.clip import FEWEST_FITTED, PreparedClip
from tests.support.subjects import FRAMES, SIDE


@pytest.fixture(scope="module")
def clip(prepared: Path) -> PreparedClip:
    return PreparedClip.load(prepared)


@pytest.fixture(scope="module")
def frames(clip: PreparedClip, subject: Path) -> FitFrames:
    avatar = load_subject(subject)
    return FitFrames(avatar.portrait, clip, avatar.clip.frames)


def in_crop(frames: FitFrames, index: int, numbers: tuple[int, ...]) -> np.ndarray:
    """Landmarks of a frame in pixels of the window."""
    frame = frames.avatar.frame
    points = frames.clip.points[index, list(numbers), :2] - (frame.crop_x, frame.crop_y)
    return points * frame.crop_pixels / frame.crop_side - frames.window[:2]


def test_only_splats_of_the_head_that_can_be_seen_are_kept(frames: FitFrames) -> None:
    splats, keep = frames.avatar.splats, frames.fitted.keep
    assert (np.diff(keep) > 0).all()
    assert (splats.head_weight[keep] > FIT_FADE[0]).all()
    assert 0.2 * len(splats) < len(keep) < 0.8 * len(splats)


def test_the_neck_is_drawn_around_them(frames: FitFrames) -> None:
    weight, fitted = frames.avatar.splats.head_weight, frames.fitted
    assert len(fitted.around) > 100 and not np.isin(fitted.around, fitted.keep).any()
    assert (weight[fitted.around] <= FIT_FADE[0]).all()


def test_what_hardly_shows_is_hardly_fitted(frames: FitFrames) -> None:
    splats, fitted = frames.avatar.splats, frames.fitted
    fade, layer = fitted.fade, splats.layers[fitted.keep]
    high = splats.head_weight[fitted.keep] >= FIT_FADE[1]
    assert np.median(fade[high & (layer == Layer.SKIN)]) == 1
    # The completed half of a face lies behind its skin.
    assert fade[high & (layer == Layer.COMPLETION)].mean() < 0.5


def test_bodies_follow_as_in_a_video(frames: FitFrames) -> None:
    index = int(np.argmax([np.abs(m.translation).sum() for m in frames.motions]))
    body, pose = follow(frames.motions[index], frames.avatar.camera(), SOURCE_VIEW)
    assert body is not None
    np.testing.assert_array_equal(frames.body(index), body.matrix)
    np.testing.assert_array_equal(frames.poses[index].translation, pose.translation)
    whole = frames.avatar.camera().viewmat
    np.testing.assert_allclose(frames.camera(index).viewmat, body.matrix @ whole)


def test_the_window_holds_the_head_in_every_frame(frames: FitFrames) -> None:
    x0, y0, x1, y1 = frames.window
    side = frames.avatar.frame.crop_pixels
    assert 0 <= x0 < x1 <= side and 0 <= y0 < y1 <= side
    assert (x1 - x0) * (y1 - y0) < 0.7 * side**2
    camera = frames.camera(0)
    assert (camera.width, camera.height) == (x1 - x0, y1 - y0)
    assert frames.plate.shape == (y1 - y0, x1 - x0, 3)
    for index in range(0, FRAMES, 5):
        head = frames.head(index)
        assert head.shape == frames.plate.shape[:2] and 0.2 < head.mean() < 0.9
        lips = in_crop(frames, index, LIPS).round().astype(int)
        assert head[lips[:, 1], lips[:, 0]].all()


def test_the_cameras_window_shows_what_the_whole_shows(frames: FitFrames) -> None:
    whole = frames.avatar.camera()
    point = np.array([1.0, 2.0, 3.0])
    cut = frames.camera(3)
    seen = cut.viewmat[:3, :3] @ point + cut.viewmat[:3, 3]
    large, small = ((K @ seen)[:2] / seen[2] for K in (whole.K, cut.K))
    np.testing.assert_allclose(large - small, frames.window[:2], atol=1e-4)


def test_targets_show_the_clip_where_the_person_is_and_the_plate_around(frames: FitFrames) -> None:
    for index in (0, 11, 39):
        target = frames.target(index)
        assert target.dtype == np.uint8 and target.shape == frames.plate.shape
        x0, y0, x1, y1 = frames.window
        crop = frames._warped(frames.clip.crop(index))[y0:y1, x0:x1].astype(int)
        matte = frames._warped(frames.clip.matte(index))[y0:y1, x0:x1]
        face, plate = frames.face(index), 255 * frames.plate
        around = cv2.dilate(face.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
        assert np.abs(target - crop)[face | (matte == 255)].max() <= 1
        assert np.abs(target - plate)[(matte == 0) & ~around].max() <= 1


def test_warped_landmarks_lie_where_they_were_measured(frames: FitFrames) -> None:
    """A dot on a landmark of the stored crop lands on the landmark of the window."""
    for index, number in ((3, 1), (20, 152)):
        x, y = frames.clip.points[index, number, :2]
        picture = np.zeros((SIDE, SIDE), np.uint8)
        column, row = int(x), int(y)
        picture[row, column] = 255
        x0, y0, x1, y1 = frames.window
        warped = frames._warped(picture)[y0:y1, x0:x1].astype(float)
        rows, columns = np.indices(warped.shape)
        found = np.array([(columns * warped).sum(), (rows * warped).sum()]) / warped.sum() + 0.5
        # The dot's centre lies within half a pixel of the clip from the landmark.
        scale = frames.avatar.frame.crop_pixels / frames.avatar.frame.crop_side
        here = (np.array([column, row]) + 0.5 - (x, y)) * scale
        np.testing.assert_allclose(found, in_crop(frames, index, (number,))[0] + here, atol=0.3)


def test_regions(frames: FitFrames) -> None:
    for index in (2, 25):
        head, region, face, mouth = (
            find(index) for find in (frames.head, frames.region, frames.face, frames.mouth)
        )
        assert (region | ~head).all(), "the head is compared"
        assert (region & ~head).any() and (region & ~head).sum() < 0.5 * head.sum()
        lips = in_crop(frames, index, LIPS).astype(int)
        assert mouth[lips[:, 1], lips[:, 0]].all()
        assert 0 < mouth.sum() < 0.5 * face.sum() < head.sum()
        assert (mouth & ~face).sum() < 0.3 * mouth.sum()


def test_long_clips_are_decoded_when_they_are_needed(
    clip: PreparedClip, frames: FitFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KEEP_BYTES", 0)
    again = FitFrames(frames.avatar, clip, frames.motions)
    np.testing.assert_array_equal(again.target(6), frames.target(6))
    assert not again._targets
    np.testing.assert_array_equal(again.region(6), frames.region(6))


def test_the_end_is_held_out(clip: PreparedClip) -> None:
    fitted, held_out = split_frames(clip, 0.2)
    assert fitted.tolist() == list(range(32)) and held_out.tolist() == list(range(32, 40))
    fitted, held_out = split_frames(clip, 0.05)
    assert len(fitted) == 38 and held_out.tolist() == [38, 39]


def test_bad_frames_are_neither_fitted_nor_judged(clip: PreparedClip) -> None:
    usable = np.ones(FRAMES, bool)
    usable[[4, 5, 35]] = False
    fitted, held_out = split_frames(replace(clip, usable=usable), 0.2)
    assert len(fitted) == 30 and not {4, 5} & set(fitted.tolist())
    assert 35 not in held_out


def test_if_the_end_is_bad_the_last_good_frame_is_looked_at(clip: PreparedClip) -> None:
    usable = np.arange(FRAMES) < 30
    fitted, held_out = split_frames(replace(clip, usable=usable), 0.2)
    assert fitted.tolist() == list(range(30)) and held_out.tolist() == [29]


def test_frames_that_were_not_stored_are_not_asked_for(clip: PreparedClip) -> None:
    few = replace(clip, stored=np.arange(0, FRAMES, 3))
    with pytest.raises(InputError) as told:
        split_frames(few, 0.2)
    assert f"has 11 frames to fit to, {FEWEST_FITTED} are needed" in str(told.value)
    assert "talkcli reconstruct" in str(told.value)
