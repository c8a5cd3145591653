"""Playing an avatar without the splats that no frame shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from talkcli.avatar import SOURCE_VIEW, View
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.checkpoint import load_avatar, save_avatar
from talkcli.engines.portrait.playback import PlayedPortrait
from talkcli.engines.portrait.splats import Layer
from talkcli.render.player import draw_head, player
from talkcli.types import MotionFrame
from tests.support.portraits import motion_of

#: Frames of a cell until its splats are known: four, and eight samples.
_SEARCH = 12


def _moved(yaw: float, pitch: float, **weights: float) -> MotionFrame:
    return replace(motion_of(**weights), rotation=np.array([yaw, pitch, 0.0], np.float32))


def _over_plate(avatar: PortraitAvatar | PlayedPortrait, motion: MotionFrame, view: View):
    rgb, alpha = draw_head(player("cpu"), avatar, motion, view)
    return rgb + (1 - alpha[..., None]) * avatar.backdrop().plate


@pytest.mark.parametrize("view", [View(), View(-30.0), View(25.0), View(-30.0, -30.0)])
def test_frames_look_like_those_of_all_splats(avatar: PortraitAvatar, view: View) -> None:
    played = avatar.playback()
    for _ in range(_SEARCH):
        played.pose(_moved(0, 0), view)
    assert len(played.pose(_moved(0, 0), view)) < 0.7 * len(avatar.splats)
    for motion in (
        _moved(0, 0),
        _moved(6, -4, jawOpen=0.6, mouthSmileLeft=0.4, mouthSmileRight=0.4),
        _moved(-8, 5, jawOpen=0.3, mouthFunnel=0.7),
        _moved(0, 0, jawOpen=0.1, mouthUpperUpLeft=1.0, mouthUpperUpRight=1.0, mouthClose=0.1),
        _moved(0, 0, jawOpen=0.2, mouthLowerDownLeft=1.0, mouthLowerDownRight=1.0, jawForward=0.5),
        _moved(3, 7, eyeBlinkLeft=1.0, eyeBlinkRight=1.0, mouthPucker=0.8),
    ):
        error = _over_plate(played, motion, view) - _over_plate(avatar, motion, view)
        # What the product promises is 45 dB against the drawing of all splats.
        assert -10 * np.log10((error**2).mean()) > 47


def test_what_is_seen_from_the_front_is_known_at_once_also_after_loading(
    avatar: PortraitAvatar, tmp_path: Path
) -> None:
    save_avatar(avatar, tmp_path)
    loaded = load_avatar(tmp_path)
    assert loaded.seen is not None
    np.testing.assert_array_equal(loaded.seen, avatar.seen)
    assert len(loaded.playback().pose(_moved(2, 1))) == loaded.seen.sum()


def test_splats_of_other_directions_are_looked_for_frame_by_frame(avatar: PortraitAvatar) -> None:
    played = avatar.playback()
    counts = [len(played.pose(_moved(0, 0), View(40.0))) for _ in range(_SEARCH + 1)]
    whole = len(avatar.splats)
    assert counts[: _SEARCH - 1] == [whole] * (_SEARCH - 1)
    assert counts[-1] < 0.7 * whole
    # Once found, also for a neighbouring direction, and for good.
    assert len(played.pose(_moved(-5, 3), View(40.0))) == counts[-1]
    assert len(played.pose(_moved(0, 0))) == avatar.seen.sum()
    assert len(played.pose(_moved(0, 0), View(40.0))) == counts[-1]


def test_the_source_as_photographed_shows_all_splats(avatar: PortraitAvatar) -> None:
    assert len(avatar.playback().pose(None, SOURCE_VIEW)) == len(avatar.splats)


def test_a_part_moves_as_the_same_splats_of_the_whole(avatar: PortraitAvatar) -> None:
    order = np.flatnonzero(np.isin(avatar.splats.layers, (Layer.SKIN, Layer.LOWER_TEETH)))
    part, motion = avatar.part(order), _moved(4, -3, jawOpen=0.5, mouthSmileLeft=0.3)
    whole = avatar.pose(motion)
    found = part.pose(motion)
    np.testing.assert_allclose(found.means, whole.means[order], atol=1e-5)
    np.testing.assert_allclose(found.colors, whole.colors[order], atol=1e-6)
    np.testing.assert_allclose(found.opacities, whole.opacities[order], atol=1e-6)
