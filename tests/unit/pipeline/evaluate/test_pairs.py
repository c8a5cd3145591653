"""Frames of two videos find each other by time, whatever their rates and lengths."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.pipeline.evaluate.pairs import pair_times, warped


def middles(count: int, fps: float, start_s: float = 0.0) -> np.ndarray:
    return start_s + (np.arange(count) + 0.5) / fps


def test_equal_videos_are_paired_frame_by_frame() -> None:
    pairing = pair_times(middles(50, 25), middles(50, 25))
    assert pairing.made.tolist() == pairing.real.tolist() == list(range(50))
    assert (pairing.apart_ms, pairing.made_dropped, pairing.real_dropped) == (0.0, 0, 0)


def test_what_only_one_video_shows_is_dropped() -> None:
    pairing = pair_times(middles(50, 25), middles(30, 25))
    assert len(pairing) == 30
    assert (pairing.made_dropped, pairing.real_dropped) == (20, 0)


def test_a_frame_after_the_end_of_the_other_video_is_dropped() -> None:
    pairing = pair_times(middles(100, 50), middles(60, 25))
    assert (len(pairing), pairing.real_dropped) == (50, 10)


@pytest.mark.parametrize(("made", "real"), [(25, 30), (30, 25), (50, 25), (12.5, 30)])
def test_of_two_rates_the_slower_decides(made: float, real: float) -> None:
    a, b = middles(round(2 * made), made), middles(round(2 * real), real)
    pairing = pair_times(a, b)
    assert len(pairing) == min(len(a), len(b))
    # No frame is further from its partner than half a frame of the faster video.
    assert np.abs(a[pairing.made] - b[pairing.real]).max() <= 0.5 / max(made, real) + 1e-9
    for indices in (pairing.made, pairing.real):
        assert (np.diff(indices) > 0).all()


def test_a_lag_moves_the_real_video() -> None:
    pairing = pair_times(middles(50, 25), middles(50, 25), lag_s=0.12)
    assert (pairing.real - pairing.made == 3).all()
    assert (pairing.made_dropped, pairing.real_dropped) == (3, 3)


def test_videos_without_a_common_instant_have_no_pair() -> None:
    assert len(pair_times(middles(5, 25), middles(5, 25), lag_s=5.0)) == 0


def test_a_warp_moves_pixels_by_their_centres() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[2, 3] = 255
    moved = warped(picture, np.eye(2), np.array([2.0, 1.0]), (8, 8))
    assert np.argwhere(moved[..., 0] == 255).tolist() == [[3, 5]]
    # At half the size, a square in the middle is the pixel in the middle.
    large = np.zeros((18, 18, 3), np.uint8)
    large[8:10, 8:10] = 255
    small = warped(large, 0.5 * np.eye(2), np.zeros(2), (9, 9))
    assert np.argwhere(small[..., 0] == 255).tolist() == [[4, 4]]
