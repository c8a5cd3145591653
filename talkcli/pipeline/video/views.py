"""The views of a video at every frame."""

from __future__ import annotations

import math
from collections.abc import Callable

from talkcli.avatar import SOURCE_VIEW, View
from talkcli.config import VideoConfig
from talkcli.errors import UsageError

#: Seconds that an orbit takes at least; a longer video holds a whole number of them.
ORBIT_S = 8.0

#: All views at a time in seconds.
ViewsAt = Callable[[float], tuple[View, ...]]


def plan_views(video: VideoConfig, duration_s: float) -> ViewsAt:
    """The views of a video as a function of time.

    ``orbit`` begins and ends in front and swings to both sides, +A first; ``arc`` turns once from
    -A to +A with a soft start and end.

    Args:
        video: ``views``, ``camera_path``, ``camera_yaw_deg`` are read.
        duration_s: of the video.

    Raises:
        UsageError: both a camera path and views are given.
    """
    if video.camera_path == "none":
        fixed = tuple(View(yaw) for yaw in video.views) or (SOURCE_VIEW,)
        return lambda time_s: fixed
    if video.views:
        raise UsageError("--camera-path moves one view, --views fixes several", "drop one of them")
    amplitude = video.camera_yaw_deg
    turns = max(1, round(duration_s / ORBIT_S))
    if video.camera_path == "orbit":
        return lambda time_s: (
            View(amplitude * math.sin(2 * math.pi * turns * time_s / duration_s)),
        )
    return lambda time_s: (View(-amplitude * math.cos(math.pi * time_s / duration_s)),)
