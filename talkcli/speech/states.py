"""What the speech network has understood around a time: its hidden states, in windows.

The states are those before the last layer, of all networks of the default model, 25 a second. They
were learnt from many speakers, so what is driven by them is not bound to one voice.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from talkcli.shapes import Float, Float32
from talkcli.speech.features import FRAME_RATE
from talkcli.speech.model import LipStream, load_speech_model
from talkcli.speech.network import STRIDE

#: States per second, and states of a window with their distance, of which eight lie in the past.
STATE_HZ = FRAME_RATE / STRIDE
WINDOW, WINDOW_STEP_S = 16, 0.02
_OFFSETS = WINDOW_STEP_S * (np.arange(WINDOW) - WINDOW // 2)


class StateWindows:
    """Windows of states at increasing times; states that no later window needs are dropped.

    Args:
        shared: a stream of the default model that others feed; None for one of its own.
    """

    def __init__(self, shared: LipStream | None = None) -> None:
        self._own = None if shared else load_speech_model().stream()
        stream = shared or self._own
        assert stream is not None
        self._stream = stream
        self._kept = stream.states
        self._first = 0
        self._ended = False

    def push(self, features: Float[np.ndarray, "n 80"]) -> None:
        """Take the states of features, which a shared stream must have been given already."""
        if self._own is not None:
            self._own.push(features)
        self._kept = np.concatenate([self._kept, self._stream.states])

    def finish(self) -> None:
        """Take the last states; likewise."""
        if self._own is not None:
            self._own.finish()
        self._kept = np.concatenate([self._kept, self._stream.states])
        self._ended = True

    def cover(self, time_s: float) -> bool:
        """Whether the states for the window around a time are there."""
        last = self._first + len(self._kept) - 1
        return self._ended or bool((time_s + _OFFSETS[-1]) * STATE_HZ <= last)

    def at(self, time_s: float) -> Float32[np.ndarray, "16 D"]:
        """``[16, D]`` the window around a time, interpolated; beyond both ends the end's state.

        Args:
            time_s: seconds from the start, not before the last time requested; the states for it
                must be there, see :meth:`cover`.
        """
        last = len(self._kept) - 1
        places = np.clip((time_s + _OFFSETS) * STATE_HZ - self._first, 0, last)
        before = places.astype(int)
        after = np.minimum(before + 1, last)
        share = (places - before)[:, None].astype(np.float32)
        window = (1 - share) * self._kept[before] + share * self._kept[after]
        self._kept = self._kept[before[0] :]
        self._first += int(before[0])
        return np.asarray(window, np.float32)


def windows_of(
    features: Float[np.ndarray, "n 80"], times: Iterable[float]
) -> list[Float32[np.ndarray, "16 D"]]:
    """The windows of a whole recording, which has features.

    Args:
        features: ``[n, 80]`` normalised, 100 a second.
        times: seconds from the first feature, increasing.
    """
    windows = StateWindows()
    windows.push(np.asarray(features, np.float32))
    windows.finish()
    return [windows.at(time_s) for time_s in times]
