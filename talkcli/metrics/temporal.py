"""What only shows in motion: jitter of the face, flicker of background and torso."""

from __future__ import annotations

from collections import deque

import numpy as np

from talkcli.face.measures import face_height
from talkcli.face.topology import CHIN_TIP, FOREHEAD_TOP
from talkcli.metrics.pair import FramePair
from talkcli.metrics.result import FrameValues, Metric, mean_of
from talkcli.shapes import Bool, Float

#: Second differences of white noise are larger than the noise by this factor.
_WHITE = float(np.sqrt(6.0))
#: The torso begins this far below the chin, face heights.
_BELOW_CHIN = 0.15
#: A region smaller than this share of the picture tells nothing.
_LEAST = 0.01


class _LastThree:
    """The last three pairs, as long as they follow each other without a gap."""

    def __init__(self) -> None:
        self._pairs: deque[FramePair] = deque(maxlen=3)

    def push(self, pair: FramePair) -> list[FramePair]:
        """Take the next pair; three of them, or none."""
        if self._pairs and pair.index != self._pairs[-1].index + 1:
            self._pairs.clear()
        self._pairs.append(pair)
        return list(self._pairs) if len(self._pairs) == 3 else []


def acceleration(
    before: Float[np.ndarray, "478 3"],
    now: Float[np.ndarray, "478 3"],
    after: Float[np.ndarray, "478 3"],
) -> float:
    """Mean second difference of landmarks in three successive frames, % of the face height.

    Args:
        before: landmarks, pixels.
        now: likewise.
        after: likewise.
    """
    second = (before - 2.0 * now + after)[:468, :2]
    return 100.0 * float(np.linalg.norm(second, axis=1).mean() / face_height(now))


def passing_change(
    before: Float[np.ndarray, "*shape"],
    now: Float[np.ndarray, "*shape"],
    after: Float[np.ndarray, "*shape"],
) -> Float[np.ndarray, "*shape"]:
    """What comes and goes within three frames: absolute second differences.

    Steady change hardly counts. Scaled so that those of white noise have its deviation.

    Args:
        before: brightness or anything else.
        now: likewise.
        after: likewise.
    """
    return np.asarray(np.abs(before - 2.0 * now + after) / _WHITE)


class Jitter:
    """Acceleration of the landmarks, made against real."""

    def __init__(self) -> None:
        self._made = FrameValues("jitter", "acceleration of landmarks, made")
        self._real = FrameValues("jitter", "acceleration of landmarks, real")
        self._last = _LastThree()

    def add(self, pair: FramePair) -> None:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        three = self._last.push(pair)
        made = [one.made_points for one in three if one.made_points is not None]
        real = [one.real_points for one in three if one.real_points is not None]
        whole = len(made) == len(real) == 3
        self._made.add(acceleration(*made) if whole else None)
        self._real.add(acceleration(*real) if whole else None)

    def finish(self) -> list[Metric]:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        made, real = self._made.metric().value, self._real.metric().value
        frames = self._made.metric().frames
        label = "jitter of the landmarks, made / real"
        if made is None or real is None or real == 0.0:
            return [Metric("jitter", label, None, "", "one", note="no three frames with faces")]
        note = f"{made:.2f} against {real:.2f} % of the face height per frame²"
        return [Metric("jitter", label, made / real, "", "one", frames=frames, note=note)]


def surroundings(pair: FramePair) -> dict[str, Bool[np.ndarray, "H W"]]:
    """Masks of what is not head: ``torso`` below the chin, ``background`` beside and above."""
    points = pair.real_points
    if points is None or "head" not in pair.regions:
        return {}
    up = points[FOREHEAD_TOP, :2] - points[CHIN_TIP, :2]
    height, width = pair.real.shape[:2]
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    level = (x - points[CHIN_TIP, 0]) * up[0] + ((y - points[CHIN_TIP, 1]) * up[1])[:, None]
    level = level / (up @ up)
    outside = ~pair.regions["head"]
    return {"torso": outside & (level < -_BELOW_CHIN), "background": outside & (level > 0.0)}


class Flicker:
    """Brightness that comes and goes within two frames, where the head is not.

    Second differences over three frames: steady motion hardly counts. Of white noise of unit
    deviation this is its mean absolute deviation, .8.
    """

    def __init__(self) -> None:
        self._names = ("background", "torso")
        self._made = {
            name: FrameValues(f"flicker_{name}", f"flicker of the {name}", "levels", "lower")
            for name in self._names
        }
        self._real: dict[str, list[float]] = {name: [] for name in self._names}
        self._last = _LastThree()

    def add(self, pair: FramePair) -> None:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        three = self._last.push(pair)
        masks = surroundings(three[1]) if three else {}
        changes = []
        if masks:
            for lumas in ([one.made_luma for one in three], [one.real_luma for one in three]):
                changes.append(passing_change(*lumas))
        for name in self._names:
            mask = masks.get(name)
            if mask is None or mask.mean() < _LEAST:
                self._made[name].add(None)
                continue
            self._made[name].add(float(changes[0][mask].mean()))
            self._real[name].append(float(changes[1][mask].mean()))

    def finish(self) -> list[Metric]:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        rows = []
        for name in self._names:
            real = mean_of(self._real[name])
            row = self._made[name].metric(f"no {name} in the picture")
            rows.append(row if real is None else row.with_note(f"real clip: {real:.2f}"))
        return rows
