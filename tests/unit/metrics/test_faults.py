"""Faults put into made-up frames are measured by the right amount, and only there."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from talkcli.face.measures import face_height
from talkcli.face.model import FaceModel
from talkcli.face.topology import FACE_OVAL
from talkcli.metrics.faults import FaultFinder, FrameFaults
from talkcli.metrics.regions import face_regions

SIDE = 200
Change = Callable[[int, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray | None]]


def landmarks() -> np.ndarray:
    """A frontal face 96 pixels high in the middle of the picture, so that nothing is reduced."""
    flat = FaceModel.load().vertices * (1.0, -1.0, -1.0)
    flat = flat * 96.0 / face_height(flat)
    return np.asarray(flat - flat.mean(0) + (SIDE / 2, SIDE / 2, 0.0))


def picture(points: np.ndarray) -> np.ndarray:
    rgb = np.full((SIDE, SIDE, 3), 60, np.uint8)
    oval = np.round(points[list(FACE_OVAL), :2]).astype(np.int32)
    cv2.fillConvexPoly(rgb, cv2.convexHull(oval), (190, 140, 120))
    return rgb


def found(change: Change, frames: int = 12) -> FrameFaults:
    finder = FaultFinder()
    finder.begin(96.0)
    for index in range(frames):
        points = landmarks()
        finder.see(index, *change(index, picture(points), points))
    return finder.faults()


def means(faults: FrameFaults) -> dict[str, float]:
    names = ("lost", "cut", "jitter", "flicker", "holes", "seam")
    return {name: float(np.nanmean(getattr(faults, name))) for name in names}


def unchanged(index: int, rgb: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return rgb, points


def test_a_still_face_has_no_fault() -> None:
    assert set(means(found(unchanged)).values()) == {0.0}


def test_trembling_landmarks() -> None:
    def tremble(index: int, rgb: np.ndarray, points: np.ndarray) -> tuple:
        return rgb, points + np.array([1.0 * (index % 2), 0.0, 0.0])

    measured = means(found(tremble))
    # -1, +1, -1 pixels: a second difference of 2, of a face of 96 pixels.
    assert measured["jitter"] == pytest.approx(100.0 * 2.0 / 96.0, rel=1e-6)
    assert measured["flicker"] == measured["holes"] == measured["lost"] == 0.0


def test_steady_motion_is_no_jitter() -> None:
    measured = means(found(lambda i, rgb, points: (rgb, points + np.array([2.0 * i, 0.0, 0.0])), 8))
    assert measured["jitter"] == pytest.approx(0.0, abs=1e-9)


def test_a_background_that_blinks() -> None:
    def blink(index: int, rgb: np.ndarray, points: np.ndarray) -> tuple:
        outside = ~face_regions(points, SIDE, SIDE)["head"]
        rgb[outside] = 60 + 10 * (index % 2)
        return rgb, points

    measured = means(found(blink))
    assert measured["flicker"] == pytest.approx(20.0 / np.sqrt(6.0), rel=0.01)
    # The outer band changes; the inner does not.
    assert measured["seam"] == pytest.approx(20.0 / np.sqrt(6.0), rel=0.1)
    assert measured["jitter"] == measured["holes"] == 0.0


def test_a_slow_fade_is_no_flicker() -> None:
    measured = means(found(lambda i, rgb, points: (rgb + np.uint8(3 * i), points)))
    assert measured["flicker"] == pytest.approx(0.0, abs=1e-6)


def test_holes_in_the_cheeks() -> None:
    def holed(index: int, rgb: np.ndarray, points: np.ndarray) -> tuple:
        for vertex in (50, 280):  # the middle of each cheek
            x, y = np.round(points[vertex, :2]).astype(int)
            rgb[y - 2 : y + 3, x - 2 : x + 3] = 10
        return rgb, points

    holes = found(holed).holes
    # 50 pixels of 2,060 of skin.
    assert float(holes.mean()) == pytest.approx(2.42, abs=0.1)


def test_eyes_and_lips_are_no_holes() -> None:
    def painted(index: int, rgb: np.ndarray, points: np.ndarray) -> tuple:
        for vertex in (468, 473, 13, 14):
            x, y = np.round(points[vertex, :2]).astype(int)
            rgb[y - 1 : y + 2, x - 2 : x + 3] = 10
        return rgb, points

    assert float(found(painted).holes.max()) == 0.0


def test_a_mouth_below_the_edge_and_a_face_that_is_gone() -> None:
    def leaving(index: int, rgb: np.ndarray, points: np.ndarray) -> tuple:
        if index >= 9:
            return rgb, None
        return rgb, points + np.array([0.0, 100.0 if index >= 6 else 0.0, 0.0])

    faults = found(leaving)
    assert faults.lost.tolist() == [0.0] * 9 + [1.0] * 3
    assert faults.cut[:9].tolist() == [0.0] * 6 + [1.0] * 3 and np.isnan(faults.cut[9:]).all()


def test_large_faces_are_measured_at_the_same_size() -> None:
    finder = FaultFinder()
    finder.begin(4 * 96.0)
    for index in range(4):
        points = landmarks() * 4.0
        large = cv2.resize(picture(landmarks()), None, fx=4, fy=4)
        finder.see(index, large, points + np.array([4.0 * (index % 2), 0.0, 0.0]))
    assert means(finder.faults())["jitter"] == pytest.approx(100.0 * 2.0 / 96.0, rel=1e-6)


def test_small_faces_have_no_holes() -> None:
    finder = FaultFinder()
    finder.begin(40.0)
    finder.see(0, picture(landmarks()), landmarks())
    assert np.isnan(finder.faults().holes).all()


def test_a_video_that_changes_its_size() -> None:
    finder = FaultFinder()
    finder.begin(96.0)
    for index in range(6):
        side = SIDE if index < 3 else SIDE // 2
        finder.see(index, np.full((side, side, 3), 60, np.uint8), None)
    assert np.isfinite(finder.faults().flicker).sum() == 2
