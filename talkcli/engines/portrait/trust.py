"""From where a portrait can be trusted: as long as little of what a view shows is a guess.

What the source did not show is completed from the other side or made up (``COMPLETION`` and
``SHELL``). Their share of a view's pixels grows as the head turns away from what was seen: later
for long hair, which hides what is made up, and at once on the hidden side of a turned head.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from talkcli.avatar import Avatar, Camera, TrustedRange
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.splats import Layer, RestSplats
from talkcli.render.player import Player, player
from talkcli.types import MotionFrame

#: Largest share of guessed pixels, as few splats show it (.2 where all are drawn). Of twenty
#: portraits looked at from both sides, those with more mostly had gross faults on cheek, ear or
#: nape.
LEAST_TRUSTED = 0.212
#: Directions that are tried, degrees from a frontal head; between them, shares are interpolated.
_YAWS, _PITCHES = np.arange(-60.0, 61.0, 15.0), np.arange(-45.0, 46.0, 22.5)
#: Pixels are counted in pictures that are so much smaller, with about this many of the splats,
#: whose spread grows by so much for each that is left out. Over twelve heads, ranges of yaw are
#: those of all splats within 2°, in a third to an eighth of the time.
_SMALLER, _ENOUGH, _WIDER = 4, 40_000, 0.6
#: Below this neck weight a head ends.
_HEAD_WEIGHT = 0.6


def measure_trust(avatar: PortraitAvatar, splats: RestSplats) -> TrustedRange:
    """The range of head yaws, at no pitch, and of pitches, at no yaw, that can be trusted.

    Args:
        avatar: of one picture, without a mouth that moves.
        splats: its splats at rest.
    """
    yaw, pitch, _ = avatar.info.turned
    every = max(1, len(splats) // _ENOUGH)
    some = np.arange(0, len(splats), every)
    avatar, splats = avatar.part(some), splats.select(some)
    # Each covers what those that are left out did.
    avatar.splats.spread = avatar.splats.spread + np.float32(_WIDER * (every - 1))
    guessed = np.isin(splats.layers, (Layer.SHELL, Layer.COMPLETION))
    head = splats.head_weight > _HEAD_WEIGHT
    marks = np.stack([guessed & head, head, head], 1).astype(np.float32)
    draw = player("cpu")
    across = [_share(draw, avatar, marks, (angle - yaw, -pitch)) for angle in _YAWS]
    along = [_share(draw, avatar, marks, (-yaw, angle - pitch)) for angle in _PITCHES]
    return TrustedRange(_range(_YAWS, across), _range(_PITCHES, along))


def _share(draw: Player, avatar: Avatar, marks: np.ndarray, turn: tuple[float, float]) -> float:
    """The share of guessed pixels in a view of the head.

    Args:
        draw: draws it.
        avatar: is turned.
        marks: ``[N, 3]`` colours; the first is that of guesses, the second of heads.
        turn: yaw and pitch, degrees from those of the source.
    """
    motion = replace(MotionFrame.neutral(), rotation=np.array([*turn, 0.0], np.float32))
    camera = avatar.camera(motion)
    small = np.diag([1 / _SMALLER, 1 / _SMALLER, 1]) @ camera.K
    size = camera.width // _SMALLER
    drawn = draw.draw(
        replace(avatar.pose(motion), colors=marks), Camera(camera.viewmat, small, size, size)
    )
    guesses, all_of_it, _ = drawn.rgb.reshape(-1, 3).sum(0)
    return float(guesses / max(float(all_of_it), 1.0))


def _range(angles: np.ndarray, shares: list[float]) -> tuple[float, float]:
    """The angles around the least share up to where it exceeds the limit, whole degrees."""
    fine = np.arange(angles[0], angles[-1] + 1)
    good = np.interp(fine, angles, shares) <= LEAST_TRUSTED
    best = int(np.argmin(np.interp(fine, angles, shares)))
    if not good[best]:
        return float(fine[best]), float(fine[best])
    bad = np.flatnonzero(~good)
    first = bad[bad < best].max(initial=-1) + 1
    last = bad[bad > best].min(initial=len(fine)) - 1
    return float(fine[first]), float(fine[last])
