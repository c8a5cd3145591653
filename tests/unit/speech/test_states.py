"""Windows of the speech network's states: the same however the sound arrives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from talkcli.speech.features import SAMPLE_RATE, LevelNormaliser, LogMelStream
from talkcli.speech.states import WINDOW, StateWindows, windows_of
from talkcli.speech.track import SpeechTrack

TIMES = [0.02 + 0.04 * k for k in range(60)]


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    """Three seconds of hissing syllables."""
    rng = np.random.default_rng(4)
    loud = np.abs(np.sin(np.arange(3 * SAMPLE_RATE) / 2500.0))
    return (0.1 * loud * rng.normal(size=len(loud))).astype(np.float32)


@pytest.fixture(scope="module")
def whole(sound: np.ndarray) -> list[np.ndarray]:
    """The windows, from the features of the whole sound."""
    mel, level = LogMelStream(), LevelNormaliser()
    rows = [level.push(mel.push(sound)), level.push(mel.finish()), level.finish()]
    return windows_of(np.concatenate(rows), TIMES)


def _blocks(sound: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(sound), size):
        yield sound[start : start + size]


@pytest.mark.parametrize("weights", ["speech", "speech-clean"])
def test_a_stream_gives_the_windows_of_the_whole(
    sound: np.ndarray, whole: list[np.ndarray], weights: str
) -> None:
    """Whichever model moves the lips, states are those of one."""
    track = SpeechTrack(_blocks(sound, 1111), weights, states=True)
    for time_s, wanted in zip(TIMES, whole, strict=True):
        track.at(time_s)
        found = track.window(time_s)
        assert found.shape[0] == WINDOW
        # The same sums in blocks of other sizes.
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_windows_move_along_the_states() -> None:
    """A window is 16 states 20 ms apart, of which eight lie in the past."""
    windows = StateWindows()
    windows._kept = np.arange(200, dtype=np.float32)[:, None]
    for time_s in (1.0, 1.004, 2.02):
        found = windows.at(time_s)
        np.testing.assert_allclose(found[:, 0], 25 * (time_s + 0.02 * np.arange(-8, 8)), atol=1e-4)
    # Of 50 states before the last window, four are still within reach of the next.
    assert len(windows._kept) == 200 - 46


def test_beyond_the_sound_its_last_state_holds(whole: list[np.ndarray], sound: np.ndarray) -> None:
    track = SpeechTrack(_blocks(sound, 8000), states=True)
    track.at(60.0)
    late = track.window(60.0)
    np.testing.assert_array_equal(late, np.repeat(late[:1], WINDOW, 0))


def test_memory_does_not_grow_with_the_sound(sound: np.ndarray) -> None:
    track, kept = SpeechTrack(_blocks(np.tile(sound, 8), 4000), states=True), []
    for k in range(20 * 25):
        track.at(k / 25)
        track.window(k / 25)
        assert track._states is not None
        kept.append(len(track._states._kept))
    # A second of sound at most arrives at a time, and half of one stays within reach.
    assert max(kept) < 1.5 * 25


def test_without_sound_a_window_still_has_numbers() -> None:
    window = SpeechTrack(iter([]), states=True).window(0.5)
    assert window.shape[0] == WINDOW and np.isfinite(window).all()
