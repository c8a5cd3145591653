"""Mattes of a person in a video: what the network sees, made steady in time and refined by colour.

A frame costs one run of the network and a guided filter, 20 ms together; the solver for pictures
(:mod:`talkcli.layers.matte`) takes a hundred times as long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from talkcli.face.topology import RIGID
from talkcli.layers.matte import person_probability
from talkcli.shapes import Float, Float32, UInt8

#: Pixels of the network.
NETWORK_PX = 256
#: Frames on either side that a frame is averaged with, and how much they count.
REACH = 2
_COUNTS = {0: 1.0, 1: 0.8, 2: 0.5}
#: Probabilities that differ by this much are taken for motion, not for noise.
_UNLIKE = 0.25


def seen_person(crop: UInt8[np.ndarray, "S S 3"]) -> Float32[np.ndarray, "256 256"]:
    """The probability of the person in a square crop around the head, in 256² pixels.

    Raises:
        MissingDependencyError: MediaPipe cannot be imported.
    """
    size = (NETWORK_PX, NETWORK_PX)
    shrink = cv2.INTER_AREA if len(crop) >= NETWORK_PX else cv2.INTER_CUBIC
    return person_probability(cv2.resize(crop, size, interpolation=shrink))


def steady(
    frames: Iterable[tuple[int, np.ndarray, np.ndarray]],
) -> Iterator[tuple[int, Float32[np.ndarray, "S S"]]]:
    """Average the probabilities of successive frames along the head's motion.

    Noise between frames disappears; where a frame differs much from its neighbours, as at shoulders
    that move otherwise than the head, it is believed alone.

    Args:
        frames: number, probability ``[S, S]``, and landmarks ``[478, 3]`` in its pixels, in order.

    Yields:
        number and averaged probability, of every frame, in order.
    """
    around: deque[tuple[int, np.ndarray, np.ndarray]] = deque()
    centre = 0
    for frame in frames:
        around.append(frame)
        if len(around) - centre > REACH:
            yield _averaged(around, centre)
            centre += 1
        if centre > REACH:
            around.popleft()
            centre -= 1
    while centre < len(around):
        yield _averaged(around, centre)
        centre += 1


def _averaged(
    around: deque[tuple[int, np.ndarray, np.ndarray]], centre: int
) -> tuple[int, np.ndarray]:
    number, own, points = around[centre]
    total, weights = own.astype(np.float32), np.ones_like(own)
    for other, seen, there in around:
        share = _COUNTS.get(abs(other - number), 0.0)
        if other == number or not share:
            continue
        moved = cv2.warpAffine(
            seen, _motion(there, points), own.shape[::-1], flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        weight = share * np.exp(-np.square((moved - own) / _UNLIKE))
        total += weight * moved
        weights += weight
    return number, total / weights


def _motion(here: np.ndarray, there: np.ndarray) -> Float[np.ndarray, "2 3"]:
    """The similarity that moves the head of one frame to that of another, by least squares."""
    a, b = here[list(RIGID), :2], there[list(RIGID), :2]
    centre_a, centre_b = a.mean(0), b.mean(0)
    a, b = a - centre_a, b - centre_b
    size = float((a**2).sum())
    cosine = float((a * b).sum()) / size
    sine = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / size
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([turn, centre_b - turn @ centre_a])


def refine(
    crop: UInt8[np.ndarray, "S S 3"], seen: Float32[np.ndarray, "256 256"], face_px: float
) -> UInt8[np.ndarray, "S S"]:
    """The matte of a crop, 0–255: the probability, drawn to the edges of the picture.

    Args:
        crop: the picture.
        seen: probability of the person in it, from :func:`steady`.
        face_px: face height, pixels of the crop.
    """
    side = len(crop)
    prior = cv2.resize(seen, (side, side), interpolation=cv2.INTER_CUBIC)
    reach = max(2, round(_REACH_FH * face_px))
    fine = cv2.ximgproc.guidedFilter(crop, prior, reach, _SMOOTH)
    # The network's edge is as soft as its pixels; a person's is not.
    alpha = np.clip((fine - _LOW) / (_HIGH - _LOW), 0.0, 1.0)
    return (255.0 * alpha + 0.5).astype(np.uint8)


#: Reach of the guided filter in face heights, and its smoothing, squared grey levels.
_REACH_FH, _SMOOTH = 0.04, 40.0
#: Probabilities that are nothing and all.
_LOW, _HIGH = 0.15, 0.85
