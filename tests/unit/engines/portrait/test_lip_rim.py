"""Lips whose rim shows teeth in the source."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from talkcli.engines.portrait.build.lip_rim import lips_without_teeth

LIP, TOOTH, SKIN = np.float32([0.7, 0.3, 0.3]), np.float32([0.9, 0.88, 0.82]), (0.8, 0.6, 0.5)
SIDE = 120


def smiling(teeth: bool = True) -> tuple[np.ndarray, dict[str, Any], np.ndarray]:
    """A mouth whose landmarks lie two pixels too far inside: its colours, parts and lips."""
    ellipses = [np.zeros((SIDE, SIDE), np.uint8) for _ in range(3)]
    for image, size in zip(ellipses, ((45, 26), (32, 12), (30, 10)), strict=True):
        cv2.ellipse(image, (60, 60), size, 0, 0, 360, 1, -1)
    lips, opening, marked = (image > 0 for image in ellipses)
    colors = np.where(lips[..., None], LIP, np.float32(SKIN))
    colors[opening] = TOOTH if teeth else (0.1, 0.04, 0.04)
    colors = cv2.GaussianBlur(colors, (0, 0), 0.8)
    side = np.where(lips & ~marked, np.where(np.arange(SIDE)[:, None] < 60, 1, -1), 0)
    parts = {
        "teeth": marked & teeth,
        "mouth": marked,
        "lip_side": side,
        "on_face": np.ones_like(lips),
        "face_height": 200.0,
    }
    return colors, parts, lips & ~marked


def test_teeth_at_the_rim_become_lip() -> None:
    colors, parts, lips = smiling()
    mended = lips_without_teeth(colors, **parts)
    middle = lips & (np.abs(np.arange(SIDE) - 60) < 15)
    assert np.abs(colors[middle] - LIP).max() > 0.4
    inner = middle & (np.abs(np.arange(SIDE)[:, None] - 60) < 18)
    # What is mixed by less than a twelfth stays: .05 of the .58 between lip and tooth.
    assert np.abs(mended[inner] - LIP).max() < 0.06
    beyond = np.abs(np.arange(SIDE) - 60) > 22
    np.testing.assert_array_equal(mended[beyond], colors[beyond])


def test_the_opening_continues_the_lips_for_what_is_completed() -> None:
    colors, parts, _ = smiling()
    inside = lips_without_teeth(colors, **parts)[58:62, 50:70]
    assert np.abs(inside - LIP).max() < 0.06


def test_without_teeth_lips_keep_their_colours() -> None:
    colors, parts, lips = smiling(teeth=False)
    mended = lips_without_teeth(colors, **parts)
    np.testing.assert_allclose(mended[lips], colors[lips], atol=1e-6)


def test_a_mouth_of_a_few_pixels_is_left_alone() -> None:
    colors, parts, _ = smiling()
    nothing = np.zeros((SIDE, SIDE), bool)
    assert lips_without_teeth(colors, **{**parts, "teeth": nothing, "mouth": nothing}) is colors
