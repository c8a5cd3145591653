"""RGB to the planes of H.264, against the definition of BT.709."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.media.planes import to_planes


def _by_definition(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Y, U, V in floats (ITU-R BT.709, items 3.2 to 3.5 and 5.6), chroma as means of four."""
    red, green, blue = np.moveaxis(frame / 255.0, 2, 0)
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    height, width = luma.shape

    def halved(plane: np.ndarray) -> np.ndarray:
        return np.asarray(plane.reshape(height // 2, 2, width // 2, 2).mean((1, 3)))

    u, v = (blue - luma) / 1.8556, (red - luma) / 1.5748
    return 16 + 219 * luma, 128 + 224 * halved(u), 128 + 224 * halved(v)


@pytest.mark.parametrize("size", [(2, 2), (6, 34), (40, 22), (64, 130)])
def test_planes_are_the_definition_rounded(size: tuple[int, int]) -> None:
    height, width = size
    frame = np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = np.zeros(height * width * 3 // 2, np.uint8)
    to_planes(frame, out)
    wanted = np.concatenate([plane.reshape(-1) for plane in _by_definition(frame)])
    # Half a level is lost in rounding, .01 in 16 fractional bits of three factors.
    assert np.abs(out - wanted).max() <= 0.51


def test_extremes_reach_the_ends_of_the_video_range() -> None:
    colours = [(0, 0, 0), (255, 255, 255), (0, 0, 255), (255, 255, 0), (255, 0, 0), (0, 255, 255)]
    frame = np.repeat(np.repeat(np.array([colours], np.uint8), 2, 0), 2, 1)
    out = np.zeros(frame.shape[0] * frame.shape[1] * 3 // 2, np.uint8)
    to_planes(frame, out)
    luma, chroma = out[:24], out[24:]
    assert (luma[:2] == 16).all() and (luma[2:4] == 235).all()
    assert chroma[:6].tolist()[2:4] == [240, 16] and chroma[6:].tolist()[4:] == [240, 16]
