"""The frames of two videos, brought together instant by instant, in constant memory."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from talkcli.errors import InputError
from talkcli.face.pose import fit_similarity
from talkcli.face.topology import RIGID
from talkcli.metrics.pair import FramePair
from talkcli.metrics.regions import face_regions
from talkcli.tracking.spool import LandmarkSpool

#: Pictures whose aspect ratios differ by more than this are of different crops.
_SAME_ASPECT = 0.02
_SHRINKS = 0.8
#: Frames further apart than this share of the slower video's frame time show different instants.
#: Half of it is as far as the nearest frame can be; the rest is for uneven times.
_FARTHEST = 0.6


class Side(Protocol):
    """One of two videos: a measured clip, or pictures that are made as they are needed."""

    @property
    def path(self) -> Path:
        """What it is called in messages."""

    @property
    def spool(self) -> LandmarkSpool:
        """Times of its frames, and landmarks in their pixels."""

    def frames(self) -> Generator[np.ndarray, None, None]:
        """``[H, W, 3]`` uint8 frames, one for each of the spool."""


@dataclass(frozen=True)
class Pairing:
    """Which frames belong together.

    Attributes:
        made, real: ``[n]`` indices of the frames of both videos, increasing.
        apart_ms: mean distance in time of frames that were paired.
        made_dropped, real_dropped: frames that have no partner.
    """

    made: np.ndarray
    real: np.ndarray
    apart_ms: float
    made_dropped: int
    real_dropped: int

    def __len__(self) -> int:
        return len(self.made)


def pair_times(made: np.ndarray, real: np.ndarray, lag_s: float = 0.0) -> Pairing:
    """Pair the frames of two videos by the middles of their display.

    Every frame of the slower video gets the nearest one of the faster.

    Args:
        made: ``[m]`` increasing, seconds.
        real: ``[r]`` increasing, seconds.
        lag_s: how much later the real picture shows what the made one shows.
    """
    wanted = real - lag_s
    slow, fast = (made, wanted) if len(made) < 2 or _step(made) >= _step(wanted) else (wanted, made)
    after = np.searchsorted(fast, slow).clip(1, max(1, len(fast) - 1))
    before = after - 1
    after = after.clip(0, len(fast) - 1)
    nearest = np.where(slow - fast[before] <= fast[after] - slow, before, after)
    apart = np.abs(fast[nearest] - slow)
    near = np.flatnonzero(apart <= _FARTHEST * max(_step(slow), 1e-6))
    # A frame may be nearest to two of the slower video's only where its times are uneven.
    _, first = np.unique(nearest[near], return_index=True)
    near = near[first]
    by_made, by_real = (near, nearest[near]) if slow is made else (nearest[near], near)
    return Pairing(
        by_made,
        by_real,
        apart_ms=1000 * float(apart[near].mean()) if len(near) else 0.0,
        made_dropped=len(made) - len(near),
        real_dropped=len(real) - len(near),
    )


def _step(times: np.ndarray) -> float:
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


class PairedFrames:
    """The pairs of two videos.

    Args:
        made: the video that is judged.
        real: the video that it should be.
        lag_s: how much later the real picture shows what the made one shows.
        leave_out: a real frame that is no test, since the made video was made from it.
        align: ``none`` scales the made picture to the real one's size; ``frame`` lays the rigid
            landmarks of every pair over each other by a similarity; ``auto`` is ``none`` if both
            have the same shape, else ``frame``.

    Attributes:
        pairing: which frames belong together.
        align: ``none`` or ``frame``.
        size: height and width of the pairs, pixels.

    Raises:
        InputError: the videos have no instant in common.
    """

    def __init__(
        self,
        made: Side,
        real: Side,
        lag_s: float = 0.0,
        align: str = "auto",
        leave_out: int | None = None,
    ) -> None:
        self._made, self._real, self._leave_out = made, real, leave_out
        self.pairing = pair_times(made.spool.middles, real.spool.middles, lag_s)
        if not len(self.pairing):
            raise InputError(
                f"{made.path} and {real.path} have no instant in common",
                "give a smaller --lag-ms",
            )
        with closing(made.frames()) as frames:
            made_height, made_width = next(frames).shape[:2]
        with closing(real.frames()) as frames:
            height, width = next(frames).shape[:2]
        self.size = height, width
        self._scale = np.array([width / made_width, height / made_height])
        same = abs(np.log(self._scale[0] / self._scale[1])) < _SAME_ASPECT
        self.align = align if align != "auto" else "none" if same else "frame"

    def made_points(self, number: int) -> np.ndarray | None:
        """``[478, 3]`` landmarks of the made picture of a pair, in the real one's pixels."""
        points = self._made.spool.points(int(self.pairing.made[number]))
        # Depth has the unit of x.
        return None if points is None else points * (*self._scale, self._scale[0])

    def real_points(self, number: int) -> np.ndarray | None:
        """``[478, 3]`` landmarks of the real picture of a pair."""
        return self._real.spool.points(int(self.pairing.real[number]))

    def __iter__(self) -> Iterator[FramePair]:
        """The pairs in order; where ``frame`` alignment needs a face and finds none, none."""
        middles = self._made.spool.middles
        with closing(self._made.frames()) as made, closing(self._real.frames()) as real:
            pictures = zip(
                _picked(made, self.pairing.made), _picked(real, self.pairing.real), strict=False
            )
            for number, (made_rgb, real_rgb) in enumerate(pictures):
                found, wanted = self.made_points(number), self.real_points(number)
                height, width = self.size
                placed = self._placed(made_rgb, found, wanted)
                if placed is None or self.pairing.real[number] == self._leave_out:
                    continue
                regions = {} if wanted is None else face_regions(wanted, height, width)
                yield FramePair(
                    index=number,
                    time_s=float(middles[self.pairing.made[number]]),
                    made=placed[0],
                    real=real_rgb,
                    made_points=placed[1],
                    real_points=wanted,
                    regions=regions,
                )

    def _placed(
        self, rgb: np.ndarray, found: np.ndarray | None, wanted: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None] | None:
        """The made picture and its landmarks in the pixels of the real one."""
        height, width = self.size
        if self.align == "none":
            if rgb.shape[:2] == self.size:
                return rgb, found
            shrinks = rgb.shape[0] > height
            way = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
            return cv2.resize(rgb, (width, height), interpolation=way), found
        if found is None or wanted is None:
            return None
        turn, shift = plane_similarity(found, wanted)
        moved = moved_points(found, turn, shift)
        return warped(rgb, turn * self._scale, shift, self.size), moved


def plane_similarity(found: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The similarity in the picture that lays rigid landmarks over others: ``[2, 2]``, ``[2]``."""
    flat, rigid = (1.0, 1.0, 0.0), list(RIGID)
    scale, rotation, shift = fit_similarity(found[rigid] * flat, wanted[rigid] * flat)
    return scale * rotation[:2, :2], shift[:2]


def moved_points(points: np.ndarray, turn: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Landmarks after ``new = turn @ old + shift`` in the picture; depth keeps its proportion."""
    depth = points[:, 2:] * np.sqrt(abs(np.linalg.det(turn)))
    return np.concatenate([points[:, :2] @ turn.T + shift, depth], 1)


def warped(
    rgb: np.ndarray, turn: np.ndarray, shift: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """A picture moved by ``new = turn @ old + shift``, its edges continued.

    Args:
        rgb: ``[h, w, 3]`` uint8.
        turn: ``[2, 2]``, rotation and scale.
        shift: ``[2]`` pixels; pixel centres lie at +0.5.
        size: height and width of the new picture.
    """
    # Warps take single samples: a picture that shrinks is averaged first.
    shrink = float(np.sqrt(abs(np.linalg.det(turn))))
    if shrink < _SHRINKS:
        small = max(1, round(rgb.shape[1] * shrink)), max(1, round(rgb.shape[0] * shrink))
        turn = turn * (np.array(rgb.shape[1::-1]) / small)
        rgb = cv2.resize(rgb, small, interpolation=cv2.INTER_AREA)
    # OpenCV counts from the centres of pixels.
    matrix = np.column_stack([turn, shift + turn @ (0.5, 0.5) - 0.5])
    return cv2.warpAffine(
        rgb, matrix, size[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


def _picked(frames: Iterator[np.ndarray], indices: np.ndarray) -> Iterator[np.ndarray]:
    """The frames with some increasing indices."""
    wanted = iter(indices.tolist())
    index = next(wanted, None)
    for number, rgb in enumerate(frames):
        if number == index:
            yield rgb
            index = next(wanted, None)
        if index is None:
            return
