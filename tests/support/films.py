"""Films of the sample portrait, whose motion is known."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from talkcli.avatar import SOURCE_VIEW
from talkcli.config import VideoConfig
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.pipeline.video.scene import AvatarPlayer
from talkcli.progress import Stopwatch
from talkcli.types import ARKIT_NAMES, MotionFrame

FPS = 25
#: Lossless, so that a copy differs by nothing but what was done to it.
CODEC = ("-c:v", "libx264", "-qp", "0", "-preset", "ultrafast")


def talking(avatar: PortraitAvatar, frames: int, lips: float = 1.0) -> np.ndarray:
    """``[frames, H, W, 3]`` of somebody who talks, shuts the lips in between, and nods.

    Args:
        avatar: who.
        frames: how many, at 25 per second.
        lips: factor on the opening of the lips.
    """
    return shown(avatar, _motions(frames, lips))


def shown(avatar: PortraitAvatar, motions: Iterable[MotionFrame]) -> np.ndarray:
    """``[n, H, W, 3]`` of somebody who moves in a given way."""
    player = AvatarPlayer(avatar, VideoConfig(), "cpu", Stopwatch())
    return np.array([player.pictures(m, [SOURCE_VIEW])[0].copy() for m in motions])


def _motions(frames: int, lips: float) -> list[MotionFrame]:
    t = np.arange(frames) / FPS
    # Syllables of uneven length: their pattern fits itself at no other lag.
    opening = np.maximum(0.0, np.sin(2 * np.pi * (1.6 * t + 0.35 * t**2)))
    motions = []
    for k in range(frames):
        expression = np.zeros(52, np.float32)
        expression[ARKIT_NAMES.index("jawOpen")] = 0.45 * lips * opening[k]
        rotation = np.array([6 * np.sin(1.9 * t[k]), 3 * np.sin(2.7 * t[k]), 0], np.float32)
        zeros = np.zeros(3, np.float32)
        motions.append(MotionFrame(expression, rotation, zeros, np.zeros(2, np.float32)))
    return motions
