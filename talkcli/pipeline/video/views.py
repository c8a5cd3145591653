"""Head yaws of every view at every frame."""

from __future__ import annotations

import math
from collections.abc import Callable

from talkcli.config import VideoConfig
from talkcli.errors import UsageError

#: Seconds that an orbit takes at least; a longer film holds a whole number of them.
ORBIT_S = 8.0

#: Yaws of all views at a time in seconds; None keeps the source's own pose.
YawsAt = Callable[[float], tuple[float | None, ...]]


def plan_yaws(video: VideoConfig, duration_s: float) -> YawsAt:
    """The views of a film as a function of time.

    ``orbit`` begins and ends in front and swings to both sides, +A first; ``arc`` turns once from
    -A to +A with a soft start and end.

    Args:
        video: ``views``, ``camera_path``, ``camera_yaw_deg`` are read.
        duration_s: of the film.

    Raises:
        UsageError: both a camera path and views are given.
    """
    if video.camera_path == "none":
        fixed: tuple[float | None, ...] = video.views or (None,)
        return lambda time_s: fixed
    if video.views:
        raise UsageError("--camera-path moves one view, --views fixes several", "drop one of them")
    amplitude = video.camera_yaw_deg
    turns = max(1, round(duration_s / ORBIT_S))
    if video.camera_path == "orbit":
        return lambda time_s: (amplitude * math.sin(2 * math.pi * turns * time_s / duration_s),)
    return lambda time_s: (-amplitude * math.cos(math.pi * time_s / duration_s),)
