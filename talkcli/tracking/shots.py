"""Scene cuts: where a clip jumps from one view to another."""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.shapes import Bool, Float

#: Pictures are compared at this size; details and grain do not count.
_WIDE, _HIGH = 32, 18
#: A cut changes the picture by this many grey levels at least, and by this many times what the
#: frames around it change.
_LEVELS, _TIMES = 14.0, 4.0
#: Frames on either side that a change is compared with.
_AROUND = 6


class ChangeMeter:
    """Measures how much every frame of a clip differs from the one before it."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self.changes: list[float] = []

    def push(self, rgb: np.ndarray) -> bool:
        """Look at the next frame; whether it may well begin another scene.

        Args:
            rgb: ``[H, W, 3]`` uint8, sRGB.
        """
        small = cv2.resize(rgb, (_WIDE, _HIGH), interpolation=cv2.INTER_AREA).astype(np.float32)
        change = 0.0 if self._last is None else float(np.abs(small - self._last).mean())
        self._last = small
        self.changes.append(change)
        before = self.changes[-1 - _AROUND : -1]
        return change > _LEVELS and change > _TIMES * float(np.median(before or [0.0]))

    def clear(self) -> None:
        """Forget all frames."""
        self._last, self.changes = None, []


def find_cuts(changes: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Whether each frame begins another scene.

    A cut is one large change between small ones. A fast pan, a shake and flicker are many large
    ones, and no cuts.

    Args:
        changes: ``[n]`` mean difference of each frame to the one before it, grey levels.
    """
    cuts = np.zeros(len(changes), bool)
    for index in np.flatnonzero(changes > _LEVELS):
        before = changes[max(1, index - _AROUND) : index]
        after = changes[index + 1 : index + 1 + _AROUND]
        around = np.concatenate([before, after, np.zeros(1)])
        cuts[index] = changes[index] > _TIMES * float(np.median(around))
    return cuts
