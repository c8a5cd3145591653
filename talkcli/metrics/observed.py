"""What can be seen and heard in one video, as curves: the input of metrics without a reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcli.shapes import Bool, Float
from talkcli.types import MotionCurves

#: Rows per second of what was heard.
HEARD_HZ = 100.0


@dataclass(frozen=True)
class Heard:
    """What the sound of a video asks of the face, :data:`HEARD_HZ` rows per second.

    Attributes:
        aperture: ``[m]`` lip opening that the speech network hears, cm of the person's head frame;
            0 in silence.
        silent: ``[m]`` True where nobody speaks.
    """

    aperture: Float[np.ndarray, " m"]
    silent: Bool[np.ndarray, " m"]

    @property
    def times(self) -> Float[np.ndarray, " m"]:
        """``[m]`` seconds."""
        return np.arange(len(self.aperture)) / HEARD_HZ

    def silent_at(self, times: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Whether nobody speaks at some times; nobody does after the end of the sound."""
        index = np.round(times * HEARD_HZ).astype(int).clip(0)
        inside = index < len(self.silent)
        return ~inside | self.silent[np.minimum(index, len(self.silent) - 1)]


@dataclass(frozen=True)
class Observed:
    """One person in one video.

    Attributes:
        curves: pose, expression and gaze, of every frame; see
            :class:`talkcli.tracking.clip.TrackedClip`.
        aperture: ``[n]`` inner lip opening above the neutral one, cm of the head frame.
        width: ``[n]`` distance of the mouth corners minus the neutral one, cm.
        shoulders: ``[n]`` speed of the picture below the chin since the frame before, cm/s; NaN
            where it is not in the picture.
        heard: the sound; None for a silent file.
    """

    curves: MotionCurves
    aperture: Float[np.ndarray, " n"]
    width: Float[np.ndarray, " n"]
    shoulders: Float[np.ndarray, " n"]
    heard: Heard | None

    @property
    def times(self) -> Float[np.ndarray, " n"]:
        """``[n]`` seconds, the middles of the frames' display."""
        return self.curves.times

    @property
    def tracked(self) -> Bool[np.ndarray, " n"]:
        """``[n]`` whether the face was measured, not filled in."""
        return self.curves.tracked
