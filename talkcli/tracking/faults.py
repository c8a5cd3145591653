"""What is wrong with the frames of a performance, so that nothing is fitted to bad ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcli.shapes import Bool
from talkcli.tracking.cover import find_covered
from talkcli.tracking.survey import Survey


@dataclass(frozen=True)
class FrameFaults:
    """Faults of every frame, ``[n]`` bool each.

    Attributes:
        lost: no face was found.
        unsure: a face was found, but it cannot be this one, or jumps.
        outside: the face leaves the picture.
        blurred: the face is less sharp than in the frames around it.
        covered: something is before the face.
        elsewhere: another scene than the one with most good frames.
    """

    lost: Bool[np.ndarray, " n"]
    unsure: Bool[np.ndarray, " n"]
    outside: Bool[np.ndarray, " n"]
    blurred: Bool[np.ndarray, " n"]
    covered: Bool[np.ndarray, " n"]
    elsewhere: Bool[np.ndarray, " n"]

    @property
    def usable(self) -> Bool[np.ndarray, " n"]:
        """``[n]`` frames without a fault."""
        return np.asarray(~np.any([*vars(self).values()], axis=0))


def find_faults(part: Survey, tracked: Bool[np.ndarray, " n"]) -> FrameFaults:
    """Judge every frame of a segment.

    Args:
        part: figures of its frames.
        tracked: ``[n]`` whether the face was measured, see :class:`talkcli.types.MotionCurves`.
    """
    scene = _scenes(part)
    shown = part.good & tracked & (scene == 0)
    return FrameFaults(
        lost=~part.found,
        unsure=part.found & ~tracked,
        outside=part.found & ~part.inside,
        blurred=part.found & ~part.clear,
        covered=find_covered(part.views, shown),
        elsewhere=scene > 0,
    )


def _scenes(part: Survey) -> np.ndarray:
    """``[n]`` rank of each frame's scene, 0 for that with the most good frames."""
    number = np.cumsum(part.cut) - int(part.cut[0])
    good = np.bincount(number, weights=part.good, minlength=int(number.max()) + 1)
    rank = np.empty(len(good), int)
    rank[np.argsort(-good, kind="stable")] = np.arange(len(good))
    return rank[number]
