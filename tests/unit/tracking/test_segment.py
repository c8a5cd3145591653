"""Which part of a clip is used, which of its frames are bad, and which are kept."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.errors import InputError, UsageError
from talkcli.face.model import FaceModel
from talkcli.tracking.cover import find_covered, skin_view
from talkcli.tracking.faults import find_faults
from talkcli.tracking.framing import best_frame, head_box, spread_frames
from talkcli.tracking.landmarks import crop_rectangle
from talkcli.tracking.segment import LONGEST_S, choose_segment, parse_segment
from talkcli.tracking.shots import ChangeMeter, find_cuts
from tests.support.prepared import made_curves, made_survey


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("auto", None),
        ("2-7.5", (2.0, 7.5)),
        ("-3", (0.0, 3.0)),
        ("0:12-1:05.5", (12.0, 65.5)),
        ("1:00:00-1:00:10", (3600.0, 3610.0)),
    ],
)
def test_segments_as_written(text: str, wanted: tuple[float, float] | None) -> None:
    assert parse_segment(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "5", "7-2", "3-3", "a-b", "1-nan", "1-1e9", "1:2:3:4-5", "3-"]
)
def test_what_is_no_segment(text: str) -> None:
    with pytest.raises(UsageError, match="--segment"):
        parse_segment(text)


def test_a_short_clip_without_cuts_is_used_whole() -> None:
    found = np.arange(300) >= 40
    assert choose_segment(made_survey(300, found=found), None) == (0, 300)


def test_the_scene_with_most_of_the_face() -> None:
    cut = np.zeros(500, bool)
    cut[[100, 350]] = True
    found = np.ones(500, bool)
    found[350:] = False
    assert choose_segment(made_survey(500, cut=cut, found=found), None) == (100, 350)


def test_a_sharp_scene_is_better_than_a_longer_blurred_one() -> None:
    cut = np.zeros(500, bool)
    cut[300] = True
    sharp = np.where(np.arange(500) < 300, 4.0, 20.0)
    assert choose_segment(made_survey(500, cut=cut, sharp=sharp), None) == (300, 500)


def test_a_long_clip_is_cut_where_the_face_moves_most() -> None:
    frames = round(2.5 * LONGEST_S) * 5
    times = (np.arange(frames) + 0.5) / 5
    angles = np.zeros((frames, 3))
    lively = times > 1.4 * LONGEST_S
    angles[lively, 0] = 7 * np.sin(times[lively])
    first, end = choose_segment(made_survey(frames, times=times, angles=angles), None)
    assert times[end - 1] - times[first] <= LONGEST_S
    assert lively[first:end].mean() > 0.95


def test_a_wish_is_fulfilled_if_there_is_a_face() -> None:
    found = np.arange(250) < 100
    survey = made_survey(250, found=found)
    assert choose_segment(survey, (1.0, 3.0)) == (25, 75)
    with pytest.raises(InputError, match="no face"):
        choose_segment(survey, (5.0, 7.0))
    with pytest.raises(InputError, match="ends at 10"):
        choose_segment(survey, (60.0, 70.0))


def scene(seed: int, shift: int = 0) -> np.ndarray:
    picture = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), np.uint8)
    return np.roll(np.kron(picture, np.ones((10, 10, 1), np.uint8)), shift, 1)


def test_cuts_are_found_and_motion_is_none() -> None:
    meter = ChangeMeter()
    # A slow pan, a cut, a fast pan, a cut back.
    shown = [scene(1, k) for k in range(20)] + [scene(2, 8 * k) for k in range(20)]
    shown += [scene(1)] * 10
    for picture in shown:
        meter.push(picture)
    cuts = np.flatnonzero(find_cuts(np.array(meter.changes)))
    assert cuts.tolist()[0] == 20 and 25 not in cuts.tolist()
    assert find_cuts(np.zeros(0)).shape == (0,)
    assert not find_cuts(np.full(50, 60.0)).any(), "flicker is no cut"


def test_every_fault_makes_a_frame_unusable() -> None:
    frames = 40
    flags = {name: np.ones(frames, bool) for name in ("found", "inside", "clear")}
    for place, name in enumerate(flags):
        flags[name][place] = False
    cut = np.zeros(frames, bool)
    cut[35] = True
    tracked = np.ones(frames, bool)
    tracked[10] = False
    faults = find_faults(made_survey(frames, cut=cut, **flags), tracked)
    assert np.flatnonzero(~faults.usable).tolist() == [0, 1, 2, 10, 35, 36, 37, 38, 39]
    assert faults.unsure[10] and faults.elsewhere[35:].all() and not faults.covered.any()


def face_picture(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A face-like picture with shading, and landmarks."""
    y, x = np.mgrid[:240, :240]
    shade = 150 + 40 * np.sin(x / 40) + 20 * np.cos(y / 30)
    noise = np.random.default_rng(seed).normal(0, 3, (240, 240, 3))
    rgb = np.clip(shade[..., None] * (1, 0.8, 0.7) + noise, 0, 255).astype(np.uint8)
    return rgb, FaceModel.load().vertices * (9, -9, -9) + (120, 110, 0)


@pytest.mark.parametrize("gain", [1.0, 0.8])
def test_something_before_the_face_is_found_in_any_light(gain: float) -> None:
    views = []
    for index in range(60):
        rgb, points = face_picture(index)
        if 30 <= index < 40:
            rgb[150:210, 90:150] = (60, 45, 40)
        if index >= 50:
            rgb = (rgb * gain).astype(np.uint8)
        views.append(skin_view(rgb, points))
    covered = find_covered(np.array(views), np.ones(60, bool))
    assert np.flatnonzero(covered).tolist() == list(range(30, 40))


def test_nothing_shown_is_nothing_covered() -> None:
    rgb, points = face_picture()
    views = np.array([skin_view(rgb, points)] * 5)
    assert not find_covered(views, np.zeros(5, bool)).any()


def test_the_best_frame_is_frontal_at_rest_and_not_held_out() -> None:
    curves = made_curves(50)
    curves.rotation[:, 0] = 20.0
    curves.rotation[:, 1] = 6.0
    curves.rotation[[12, 20, 30, 45], 0] = 0.0
    curves.expression[12] = 0.5
    usable = np.ones(50, bool)
    usable[20] = False
    assert best_frame(curves, made_survey(50), usable, 0.8) == 30
    sharp = np.full(50, 20.0)
    sharp[30] = 2.0
    curves.rotation[33, 0] = 2.0
    assert best_frame(curves, made_survey(50, sharp=sharp), usable, 0.8) == 33


def test_the_box_holds_the_crop_wherever_the_head_is() -> None:
    vertices = FaceModel.load().vertices * (6, -6, -6)
    travel = np.array([[0, 0], [40, -10], [-25, 15], [300, 300]], float)
    sizes = np.array([1.0, 1.0, 1.2, 1.0])
    points = np.array(
        [
            size * vertices + (200 + x, 180 + y, 0)
            for size, (x, y) in zip(sizes, travel, strict=True)
        ]
    )
    usable = np.array([True, True, True, False])
    box = head_box(points, usable, 0)
    assert box.side == round(box.side) and box.x0 == round(box.x0)
    for face in points[usable]:
        x, y, side = crop_rectangle(face)
        assert box.x0 <= x + 1e-6 and box.y0 <= y + 1e-6
        assert x + side <= box.x0 + box.side + 1e-6 and y + side <= box.y0 + box.side + 1e-6
    # The frame that is not usable is 300 pixels away and would double it.
    assert box.side < 1.5 * crop_rectangle(points[0]).side


def test_all_frames_are_kept_if_they_are_few() -> None:
    usable = np.arange(100) % 5 > 0
    assert (
        spread_frames(made_survey(100), usable, 90, 0.2).tolist() == np.flatnonzero(usable).tolist()
    )


def test_rare_mouths_are_kept_of_many_frames() -> None:
    frames = 5000
    mouth = np.tile([0.3, 5.0], (frames, 1))
    mouth[::50, 0] = 2.0  # wide open in 2 % of the frames
    survey = made_survey(frames, mouth=mouth)
    kept = spread_frames(survey, np.ones(frames, bool), 500, 0.2)
    assert len(kept) == 500 and (np.diff(kept) > 0).all()
    assert (kept >= 4000).sum() == 100
    early = kept[kept < 4000]
    # By chance 8 of these 400 would be wide open; there are 80.
    assert (early % 50 == 0).sum() > 40
