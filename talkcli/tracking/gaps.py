"""Finds frames in which the face was missed or badly measured, and fills them in from others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from talkcli.face.alignment import align_heads
from talkcli.tracking.person import Person
from talkcli.tracking.spool import Measured

#: Gaps up to this long are interpolated linearly; in longer ones the last face is held.
BRIDGED_S = 0.5
_BLEND_S = 0.2  # time to move from the held pose to the newly found one
# Clean clips, 140 of them, never exceed 8 times the usual residual where that is at least 0.05 cm.
_MISFIT, _MISFIT_CM = 8.0, 0.45
# A spike is a frame that jumps by half a centimetre while its neighbours agree.
_SPIKE_CM, _SPIKE_RATIO = 0.5, 4.0
_BLURRED = 0.3  # of the sharpness of the frames around it
_AROUND = 12  # frames on either side with which sharpness is compared


@dataclass(frozen=True)
class FilledFrame:
    """Landmarks of a frame, measured or filled in.

    Attributes:
        time_s: middle of the frame's display.
        points: ``[478, 3]`` pixels.
        tracked: whether the landmarks were measured in this frame.
    """

    time_s: float
    points: np.ndarray
    tracked: bool


def fill_gaps(frames: Iterator[Measured], person: Person) -> Iterator[FilledFrame]:
    """Provide landmarks for every frame of a clip that shows the person at least once.

    Looks ahead by ``BRIDGED_S`` and twelve frames, no further.

    Args:
        frames: measured frames, in order.
        person: what the face should look like.
    """
    last: FilledFrame | None = None
    waiting: list[Measured] = []
    for frame in _without_bad(frames, person):
        if frame.points is None:
            waiting.append(frame)
            if last is not None and frame.time_s - last.time_s > BRIDGED_S + _BLEND_S:
                # Too long to bridge: release all frames but those that a soft return may need.
                held = waiting.pop(0)
                yield FilledFrame(held.time_s, last.points, False)
            continue
        found = FilledFrame(frame.time_s, frame.points, True)
        yield from _bridge(waiting, last, found)
        waiting = []
        last = found
        yield found
    if last is not None:
        yield from (FilledFrame(frame.time_s, last.points, False) for frame in waiting)


def _bridge(
    waiting: list[Measured], last: FilledFrame | None, found: FilledFrame
) -> Iterator[FilledFrame]:
    if last is None:
        # The clip begins without the face: use its first appearance.
        yield from (FilledFrame(frame.time_s, found.points, False) for frame in waiting)
        return
    long = found.time_s - last.time_s > BRIDGED_S
    start = max(last.time_s, found.time_s - _BLEND_S) if long else last.time_s
    for frame in waiting:
        share = (frame.time_s - start) / max(found.time_s - start, 1e-6)
        share = float(np.clip(share, 0.0, 1.0))
        points = last.points + share * (found.points - last.points)
        yield FilledFrame(frame.time_s, points, False)


def _without_bad(frames: Iterator[Measured], person: Person) -> Iterator[Measured]:
    """The same frames, without landmarks that cannot be right."""
    limit = max(_MISFIT * person.residual, _MISFIT_CM)
    around: deque[Measured] = deque()
    centre = 0
    for frame in frames:
        around.append(frame)
        if len(around) - centre > _AROUND:
            yield _judged(around, centre, person, limit)
            centre += 1
        if centre > _AROUND:
            around.popleft()
            centre -= 1
    while centre < len(around):
        yield _judged(around, centre, person, limit)
        centre += 1


def _judged(around: deque[Measured], centre: int, person: Person, limit: float) -> Measured:
    frame = around[centre]
    if frame.points is None:
        return frame
    usual = np.median([other.sharpness for other in around if other.points is not None])
    heads = align_heads(frame.points[None], person.rigid)
    bad = heads.residuals[0] > limit or frame.sharpness < _BLURRED * usual
    if not bad and 0 < centre < len(around) - 1:
        before, after = around[centre - 1].points, around[centre + 1].points
        if before is not None and after is not None:
            jump = _distance(frame.points, (before + after) / 2) / heads.scales[0]
            step = _distance(after, before) / 2 / heads.scales[0]
            bad = jump > max(_SPIKE_CM, _SPIKE_RATIO * step)
    return Measured(frame.time_s, None) if bad else frame


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm((a - b)[:, :2], axis=1).mean())
