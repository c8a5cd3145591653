"""Dark lenses drawn onto the sample portrait: no blink crosses them; bare eyes blink on."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from talkcli.config import PortraitConfig
from talkcli.engines.portrait.build.build import build_portrait
from talkcli.engines.portrait.build.shades import behind_shades
from talkcli.engines.portrait.splats import Layer
from talkcli.face.topology import EYE_LEFT, EYE_RIGHT
from talkcli.render.player import draw_head, player
from talkcli.tracking.landmarks import Face
from tests.support.portraits import measured, motion_of


def shaded(picture: np.ndarray, face: Face, color: tuple[int, int, int], seen: float) -> np.ndarray:
    """The picture with two lenses of a colour, through which a share of what is behind is seen."""
    middles = [face.points[list(eye.corners), :2].mean(0) for eye in (EYE_RIGHT, EYE_LEFT)]
    distance = float(np.linalg.norm(middles[1] - middles[0]))
    mask = np.zeros(picture.shape[:2], np.uint8)
    for x, y in middles:
        centre = (round(float(x)), round(float(y + 0.05 * distance)))
        axes = (round(0.44 * distance), round(0.34 * distance))
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, -1)
    worn = picture.copy()
    behind = worn[mask > 0, :3].astype(float)
    worn[mask > 0, :3] = np.round(seen * behind + (1 - seen) * np.array(color))
    return worn


@pytest.mark.parametrize("color", [(20, 20, 22), (20, 30, 90), (45, 25, 10)])
def test_dark_lenses_are_found(
    picture: np.ndarray, face: Face, color: tuple[int, int, int]
) -> None:
    assert not behind_shades(*measured(picture, face))
    assert behind_shades(*measured(shaded(picture, face, color, 0.1), face))


def test_eyes_in_shadow_and_clear_lenses_are_none(picture: np.ndarray, face: Face) -> None:
    dim = picture.copy()
    dim[..., :3] = dim[..., :3] // 3
    assert not behind_shades(*measured(dim, face))
    # As a hat's shadow: darker, but eyes as anybody's.
    assert not behind_shades(*measured(shaded(picture, face, (0, 0, 0), 0.55), face))
    assert not behind_shades(*measured(shaded(picture, face, (200, 200, 200), 0.8), face))


def test_nothing_blinks_on_a_lens(picture: np.ndarray, face: Face) -> None:
    worn = shaded(picture, face, (20, 20, 22), 0.1)
    avatar = build_portrait(worn, face, PortraitConfig(max_crop=256, fit_iterations=2), 256)
    eyes = (Layer.EYE, Layer.IRIS, Layer.LID, Layer.LASHES)
    assert not np.isin(avatar.splats.layers, eyes).any()
    draw = player("cpu")
    still = draw_head(draw, avatar, motion_of()).rgb.copy()
    blink = draw_head(draw, avatar, motion_of(eyeBlinkLeft=1.0, eyeBlinkRight=1.0)).rgb.copy()
    assert np.array_equal(still, blink)
    speaks = draw_head(draw, avatar, motion_of(jawOpen=0.5)).rgb
    assert np.abs(speaks - still).max() > 0.2
