from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from talkcli.errors import InputError
from talkcli.tracking.clip import track_clip
from talkcli.tracking.landmarks import Face
from talkcli.tracking.upright import find_turn, turned
from tests.support.media import make_clip


def sways(picture: np.ndarray, frames: int, scale: float = 1.0) -> np.ndarray:
    """``[n, H, W, 3]`` the sample portrait, rocking by a few degrees."""
    height, width = picture.shape[:2]
    size = (round(width * scale / 2) * 2, round(height * scale / 2) * 2)
    small = cv2.resize(picture[..., :3], size, interpolation=cv2.INTER_AREA)
    middle = (size[0] / 2, size[1] / 2)
    turns = [cv2.getRotationMatrix2D(middle, 5 * np.sin(k / 3), 1.0) for k in range(frames)]
    return np.array([cv2.warpAffine(small, turn, size, borderMode=1) for turn in turns])


@pytest.mark.parametrize("turn", [90, 270])
def test_clips_on_their_side_are_found_out(tmp_path: Path, picture: np.ndarray, turn: int) -> None:
    frames = np.array([turned(frame, (360 - turn) % 360) for frame in sways(picture, 40)])
    assert find_turn(make_clip(tmp_path / "clip.mp4", frames)) == turn


def test_an_upside_down_clip_gives_the_curves_of_the_upright_one(
    tmp_path: Path, picture: np.ndarray
) -> None:
    frames = sways(picture, 24)
    upright = track_clip(make_clip(tmp_path / "a.mp4", frames, "25", "-qp", "0"))
    fallen = track_clip(make_clip(tmp_path / "b.mp4", frames[:, ::-1, ::-1], "25", "-qp", "0"))
    assert (upright.turned, fallen.turned) == (0, 180)
    assert fallen.curves.tracked.all()
    # Chroma is sampled from another corner of its 2 x 2 pixels.
    np.testing.assert_allclose(fallen.curves.rotation, upright.curves.rotation, atol=0.7)
    assert np.ptp(upright.curves.rotation[:, 2]) > 6


def test_a_clip_without_a_face_stays_as_it_is(tmp_path: Path) -> None:
    frames = np.full((10, 96, 128, 3), 90, np.uint8)
    path = make_clip(tmp_path / "clip.mp4", frames)
    assert find_turn(path) == 0
    with pytest.raises(InputError, match="no face can be followed"):
        track_clip(path)


def test_small_faces_in_clips_are_followed(tmp_path: Path, picture: np.ndarray, face: Face) -> None:
    """66 of 1280 pixels are 5 %: one look at the whole frame does not show that."""
    small = sways(picture, 8, 66 / face.size_px)
    frames = np.full((8, 720, 1280, 3), 120, np.uint8)
    frames[:, 400 : 400 + small.shape[1], 900 : 900 + small.shape[2]] = small
    tracked = track_clip(make_clip(tmp_path / "clip.mp4", frames, "25", "-qp", "4"))
    assert tracked.curves.tracked.all() and tracked.faces_seen == 1


@pytest.mark.parametrize(("count", "said"), [(1, "only one frame"), (2, "only 2 frames")])
def test_a_frame_or_two_are_no_clip(
    tmp_path: Path, picture: np.ndarray, count: int, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        track_clip(make_clip(tmp_path / "clip.mp4", sways(picture, count)))
