"""The views shown in each frame of a video."""

from __future__ import annotations

import math
from collections.abc import Callable

from talkcli.avatar import SOURCE_VIEW, AvatarInfo, View
from talkcli.config import VideoConfig
from talkcli.errors import UsageError
from talkcli.progress import Reporter

#: Approximate length of an orbit in seconds; every video holds a whole number of orbits.
ORBIT_S = 8.0

#: Returns all views at a given time, in seconds.
ViewsAt = Callable[[float], tuple[View, ...]]


def plan_views(video: VideoConfig, duration_s: float) -> ViewsAt:
    """The views of a video as a function of time.

    ``orbit`` starts and ends at the front and swings to both sides, +A first; ``arc`` sweeps once
    from -A to +A with a smooth start and end.

    Args:
        video: its ``views``, ``camera_path`` and ``camera_yaw_deg`` apply.
        duration_s: length of the video in seconds.

    Raises:
        UsageError: both a camera path and views were given.
    """

    def seen(yaw_deg: float) -> View:
        # What is photographed at 0° stays so: a camera goes around the person who faces it.
        return View(yaw_deg, yaw_deg if video.view_mode == "camera" else 0.0)

    if video.camera_path == "none":
        fixed = tuple(seen(yaw) for yaw in video.views) or (SOURCE_VIEW,)
        return lambda time_s: fixed
    if video.views:
        raise UsageError("--camera-path and --views cannot be combined", "omit one of them")
    amplitude = video.camera_yaw_deg
    turns = max(1, round(duration_s / ORBIT_S))
    if video.camera_path == "orbit":
        return lambda time_s: (
            seen(amplitude * math.sin(2 * math.pi * turns * time_s / duration_s)),
        )
    return lambda time_s: (seen(-amplitude * math.cos(math.pi * time_s / duration_s)),)


def warn_of_unseen(info: AvatarInfo, video: VideoConfig, reporter: Reporter) -> None:
    """Warn, in one line, of views from further aside than anything that the avatar knows.

    Args:
        info: of the avatar.
        video: its views or camera path.
        reporter: receives the warning.
    """
    if info.trusted is None:
        return
    low, high = info.trusted.yaw
    swing = video.camera_yaw_deg
    yaws = video.views if video.camera_path == "none" else (-swing, swing)
    beyond = [yaw for yaw in yaws if not low <= yaw <= high]
    if beyond:
        told = ", ".join(f"{yaw:g}" for yaw in beyond)
        source = "picture" if info.motion is None else "clip"
        reporter.warn(
            f"much of what the views {told} show is guessed: the {source} and the symmetry of "
            f"heads support {low:.0f} to {high:.0f} degrees"
        )
