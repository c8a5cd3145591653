"""Dark frames drawn onto the sample portrait: found, kept in place, and only there."""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.config import PortraitConfig
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.build import build_portrait
from talkcli.engines.portrait.build.crop import cut_crop
from talkcli.engines.portrait.build.glasses import frame_depth, glasses_frame, without_frame
from talkcli.engines.portrait.splats import Layer
from talkcli.face.topology import EYE_LEFT, EYE_RIGHT
from talkcli.tracking.landmarks import Face
from tests.support.portraits import measured, motion_of


def dressed(picture: np.ndarray, face: Face, bridge: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """The picture with a black frame, and where it is."""
    middles = [face.points[list(eye.corners), :2].mean(0) for eye in (EYE_RIGHT, EYE_LEFT)]
    distance = float(np.linalg.norm(middles[1] - middles[0]))
    mask = np.zeros(picture.shape[:2], np.uint8)
    axes = (round(0.40 * distance), round(0.27 * distance))
    thick = max(2, round(0.06 * distance))
    for middle in middles:
        centre = (round(float(middle[0])), round(float(middle[1] + 0.05 * distance)))
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, thick)
    if bridge:
        ends = [
            (round(float(m[0] + s * 0.40 * distance)), round(float(m[1])))
            for m, s in zip(middles, (1, -1), strict=True)
        ]
        cv2.line(mask, ends[0], ends[1], 255, thick)
    worn = picture.copy()
    worn[mask > 0, :3] = 25
    return worn, mask > 0


def test_a_dark_frame_is_found_and_nothing_else(picture: np.ndarray, face: Face) -> None:
    assert not glasses_frame(*measured(picture, face)).any()
    worn, mask = dressed(picture, face)
    found = glasses_frame(*measured(worn, face))
    canvas = np.full((*mask.shape, 4), 255, np.uint8)
    canvas[~mask, :3] = 0
    drawn = cut_crop(canvas, face, 512, 1024).rgb[..., 0] > 0.5
    assert (found & drawn).sum() > 0.95 * drawn.sum()  # all of it
    assert (found & drawn).sum() > 0.7 * found.sum()  # .79
    unbridged, _ = dressed(picture, face, bridge=False)
    assert not glasses_frame(*measured(unbridged, face)).any()


def test_skin_goes_on_behind_the_frame(picture: np.ndarray, face: Face) -> None:
    bare, _ = measured(picture, face)
    worn, geometry = measured(dressed(picture, face)[0], face)
    found = glasses_frame(worn, geometry)
    restored = without_frame(worn, found)
    np.testing.assert_array_equal(restored[~found], worn[~found])
    assert np.abs(restored - bare)[found].mean() < 0.25 * np.abs(worn - bare)[found].mean()
    depth = frame_depth(geometry.depth, found, geometry)
    assert (depth <= geometry.depth - 0.49 * geometry.pose.scale).all()


def test_a_frame_stays_when_the_eyes_close(picture: np.ndarray, face: Face) -> None:
    worn, _ = dressed(picture, face)
    wearer = build_portrait(worn, face, PortraitConfig(fit_iterations=0), 320)
    frame = wearer.splats.layers == Layer.GLASSES
    assert frame.sum() > 600  # 819

    def posed(blink: float) -> np.ndarray:
        names = ("eyeBlinkLeft", "eyeBlinkRight", "browInnerUp", "cheekSquintLeft")
        return wearer.pose(motion_of(**dict.fromkeys(names, blink))).means.copy()

    moved = np.linalg.norm(posed(1.0) - posed(0.0), axis=1)
    assert moved[frame].max() == 0.0
    assert moved[wearer.splats.layers == Layer.SKIN].max() > 0.7  # cm; .99


def test_a_bare_face_wears_no_frame(avatar: PortraitAvatar) -> None:
    assert not (avatar.splats.layers == Layer.GLASSES).any()
