from __future__ import annotations

import cv2
import numpy as np
import pytest

from talkcli.tracking import landmarks
from talkcli.tracking.detector import detect_in_tiles
from talkcli.tracking.landmarks import Face, detect_faces


def scene(width: int, height: int) -> np.ndarray:
    """A picture with structure at every scale and no face in it."""
    rng = np.random.default_rng(3)
    total = np.zeros((height, width, 3), np.float32)
    for cell in (4, 16, 64, 256):
        grid = rng.normal(0, 1, (height // cell + 2, width // cell + 2, 3)).astype(np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return (128 + 16 * total).clip(0, 255).astype(np.uint8)


def paste(
    canvas: np.ndarray, portrait: np.ndarray, face: Face, size_px: float, at: tuple[int, int]
) -> None:
    """Lay a portrait over a picture so that its face has a height and a centre."""
    scale = size_px / face.size_px
    small = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    x, y = (np.array(at) - face.points[:, :2].mean(0) * scale).round().astype(int)
    height, width = canvas.shape[:2]
    rows, columns = slice(max(0, -y), height - y), slice(max(0, -x), width - x)
    piece = small[rows, columns]
    y, x = max(0, y), max(0, x)
    canvas[y : y + piece.shape[0], x : x + piece.shape[1]] = piece


@pytest.mark.parametrize(
    ("width", "height", "size_px", "at"),
    [
        (3000, 2250, 184, (2250, 1500)),
        (4000, 3000, 66, (3900, 2900)),
        (2400, 240, 97, (1500, 130)),
        (240, 2400, 70, (120, 2340)),
    ],
)
def test_small_faces_are_found(
    picture: np.ndarray,
    face: Face,
    width: int,
    height: int,
    size_px: float,
    at: tuple[int, int],
) -> None:
    canvas = scene(width, height)
    paste(canvas, picture[..., :3], face, size_px, at)
    found = detect_faces(canvas)
    assert len(found) == 1
    assert np.abs(found[0].points[:, :2].mean(0) - at).max() < 0.05 * size_px
    # FaceMesh measures this face 3 % smaller at 66 px than at its full size.
    assert found[0].size_px == pytest.approx(size_px, rel=0.06)


def test_several_small_faces_come_largest_first(picture: np.ndarray, face: Face) -> None:
    canvas = scene(2800, 1800)
    for size_px, at in ((70, (300, 300)), (120, (2300, 400)), (90, (1100, 1200))):
        paste(canvas, picture[..., :3], face, size_px, at)
    assert [f.size_px for f in detect_faces(canvas)] == pytest.approx([120, 90, 70], rel=0.06)


def test_nothing_is_invented() -> None:
    """Noise of every grain, stripes, and a plain ground hold no face."""
    rng = np.random.default_rng(0)
    stripes = np.broadcast_to(np.arange(1600)[None, :, None] // 20 % 2 * 255, (1200, 1600, 3))
    for canvas in (
        scene(1600, 1200),
        rng.integers(0, 256, (1200, 1600, 3)).astype(np.uint8),
        stripes.astype(np.uint8),
        np.full((1200, 1600, 3), 200, np.uint8),
    ):
        assert detect_faces(canvas) == []


def test_tiles_are_searched_only_without_a_find(
    monkeypatch: pytest.MonkeyPatch, picture: np.ndarray, face: Face
) -> None:
    """A picture whose face is seen at one look keeps its landmarks to the last bit."""
    monkeypatch.setattr(landmarks, "detect_in_tiles", lambda rgb: pytest.fail("tiles searched"))
    again = detect_faces(np.ascontiguousarray(picture[..., :3]))
    np.testing.assert_array_equal(again[0].points, face.points)


def test_tiles_find_each_face_once(picture: np.ndarray, face: Face) -> None:
    canvas = np.full((1500, 2000, 3), 90, np.uint8)
    paste(canvas, picture[..., :3], face, 120, (1010, 760))
    assert len(detect_in_tiles(canvas)) == 1


@pytest.mark.parametrize("shape", [(40_000, 1), (1, 40_000), (32_767, 2), (1, 1), (7, 5000)])
def test_no_shape_of_picture_aborts(shape: tuple[int, int]) -> None:
    """MediaPipe ends the whole process on sides from 32,767 pixels on."""
    assert detect_faces(np.full((*shape, 3), 90, np.uint8)) == []


def test_long_pictures_keep_their_coordinates(picture: np.ndarray, face: Face) -> None:
    canvas = np.full((700, 40_000, 3), 90, np.uint8)
    paste(canvas, picture[..., :3], face, 300, (36_000, 350))
    found = detect_faces(canvas)
    assert len(found) == 1
    assert np.abs(found[0].points[:, :2].mean(0) - (36_000, 350)).max() < 15
