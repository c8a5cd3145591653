"""The head's square: what a transparent picture shows in it."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.engines.portrait.build.crop import cut_crop
from talkcli.imaging import over_white
from talkcli.tracking.landmarks import Face


def cut_out(picture: np.ndarray, hidden: tuple[int, int, int]) -> np.ndarray:
    """The picture with a transparent frame that hides a colour, soft at its inner edge."""
    height, width = picture.shape[:2]
    x, y = np.abs(np.linspace(-1, 1, width)), np.abs(np.linspace(-1, 1, height))[:, None]
    alpha = np.clip((0.8 - np.maximum(x, y)) * 20, 0, 1)
    result = picture.copy()
    result[..., 3] = np.rint(alpha * 255)
    result[result[..., 3] == 0, :3] = hidden
    return result


@pytest.mark.parametrize("side", [512, 200])
def test_hidden_colours_never_show(picture: np.ndarray, face: Face, side: int) -> None:
    crops = [
        cut_crop(cut_out(picture, hidden), face, side, 1024)
        for hidden in ((0, 0, 0), (255, 0, 0), (255, 255, 255))
    ]
    for crop in crops:
        np.testing.assert_array_equal(crop.rgb, crops[0].rgb)
        assert crop.alpha is not None
        assert (crop.rgb[crop.alpha == 0] == 1).all()


def test_an_opaque_picture_is_cut_as_it_is(picture: np.ndarray, face: Face) -> None:
    crop = cut_crop(picture, face, 512, 1024)
    assert crop.alpha is None
    assert over_white(picture).base is picture


def test_over_white_rounds_to_the_nearest_level(monkeypatch: pytest.MonkeyPatch) -> None:
    rgba = np.array(np.meshgrid([0, 1, 100, 254, 255], range(256)), np.uint8)
    rgba = np.stack([rgba[0], rgba[0], rgba[0], rgba[1]], -1)
    share = rgba[..., 3:] / 255
    expected = np.floor(rgba[..., :3] * share + 255 * (1 - share) + 0.5)
    np.testing.assert_array_equal(over_white(rgba), expected)
    monkeypatch.setattr("talkcli.imaging._PIECE_PX", 1000)
    np.testing.assert_array_equal(over_white(rgba), expected)
