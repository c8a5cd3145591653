"""Mattes of a person in a video: what the network sees, made steady in time and refined by colour.

The network sees every frame, the average over some frames removes its flicker, the difference to
the background decides where its pixels are too large, and a guided filter follows the edges.
The mattes are averaged once more. That costs 35 ms a frame; the solver for pictures
(:mod:`talkcli.layers.matte`) takes a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from talkcli.face.topology import RIGID
from talkcli.imaging import smoothstep
from talkcli.layers.matte import person_probability
from talkcli.shapes import Bool, Float, UInt8

#: Pixels of the network.
NETWORK_PX = 256
#: Frames on either side that a frame is averaged with, and how much they count.
REACH = 2
_COUNTS = {0: 1.0, 1: 0.8, 2: 0.5}
#: Values that differ by this much, of 255, are taken for motion, not for noise: what the network
#: sees, and finished mattes. The second leaves about a half of the jitter at the outlines of three
#: people (4 to 11 levels, second difference along the head's motion).
UNLIKE_SEEN, UNLIKE_MATTES = 64.0, 128.0
#: Reach of the guided filter in face heights, and its smoothing, squared grey levels.
_REACH_FH, _SMOOTH = 0.03, 30.0
#: Larger crops are filtered at half of their size: a third of the time, and .3 % of difference.
_HALVED_PX = 320
#: Probabilities that are nothing and all: the network's edge is as soft as its pixels are large, a
#: person's is not.
_LOW, _HIGH = 0.15, 0.85
#: Backgrounds that change by more than this, grey levels, tell nothing.
_RESTLESS = 6.0
#: The least deviation between a picture and the background it shows, grey levels, and that of the
#: background over time in units of its unrest.
_NOISE, _NOISES = 2.0, 1.5
#: What a pixel without any difference to the background says, and the most that one says, logits.
_SAME, _LEAST, _MOST = -2.3, -2.0, 4.0
#: The background is asked up to here beside the person, face heights.
_ASKED_FH, _FADED_FH = 0.06, 0.14


def seen_person(crop: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "256 256"]:
    """The probability of the person in a crop around the head, of 255, in 256² pixels.

    Raises:
        MissingDependencyError: MediaPipe cannot be imported.
    """
    size = (NETWORK_PX, NETWORK_PX)
    shrink = cv2.INTER_AREA if min(crop.shape[:2]) >= NETWORK_PX else cv2.INTER_CUBIC
    seen = person_probability(cv2.resize(crop, size, interpolation=shrink))
    return (255.0 * seen + 0.5).astype(np.uint8)


#: Number of a frame, a picture ``[S, S]`` of it, and landmarks ``[478, 2]`` or more in its pixels.
NumberedMatte = tuple[int, np.ndarray, np.ndarray]


def steady(
    frames: Iterable[NumberedMatte], unlike: float
) -> Iterator[tuple[int, UInt8[np.ndarray, "S S"]]]:
    """Average what is seen in successive frames along the head's motion.

    Noise between frames disappears; where a frame differs much from its neighbours, as at shoulders
    that move otherwise than the head, it is believed alone.

    Args:
        frames: probabilities or mattes, in order.
        unlike: difference at which a neighbour has 1/e of the weight of an equal one.

    Yields:
        number and average, of every frame, in order.
    """
    levels = np.arange(256) / unlike
    table = np.exp(-(levels**2)).astype(np.float32)
    around: deque[NumberedMatte] = deque()
    centre = 0
    for frame in frames:
        around.append(frame)
        if len(around) - centre > REACH:
            yield _averaged(around, centre, table)
            centre += 1
        if centre > REACH:
            around.popleft()
            centre -= 1
    while centre < len(around):
        yield _averaged(around, centre, table)
        centre += 1


def _averaged(
    around: deque[NumberedMatte], centre: int, table: np.ndarray
) -> tuple[int, np.ndarray]:
    number, own, points = around[centre]
    total, weights = own.astype(np.float32), np.ones(own.shape, np.float32)
    for other, seen, there in around:
        share = _COUNTS.get(abs(other - number), 0.0)
        if other == number or not share:
            continue
        moved = cv2.warpAffine(
            seen, _motion(there, points), own.shape[::-1], flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        weight = cv2.LUT(cv2.absdiff(moved, own), table * np.float32(share))
        total += cv2.multiply(weight, moved, dtype=cv2.CV_32F)
        weights += weight
    return number, (total / weights + 0.5).astype(np.uint8)


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


class MatteMaker:
    """Turns probabilities into mattes, with what is known of the background.

    Args:
        plate: ``[S, S, 3]`` uint8, the crops' part of the background.
        known: ``[S, S]`` bool, where frames have shown it.
        unrest: its deviation over time, grey levels.
        face_px: face height, pixels of the crops.
        inside: x0, y0, x1, y1 of what lies in the picture; beyond it, its edge is repeated.
    """

    def __init__(
        self,
        plate: UInt8[np.ndarray, "S S 3"],
        known: Bool[np.ndarray, "S S"],
        unrest: float,
        face_px: float,
        inside: tuple[int, int, int, int],
    ) -> None:
        self._side = len(plate)
        self._inside = inside
        self._scale = 0.5 if self._side > _HALVED_PX else 1.0
        self._plate = self._reduced(self._cut(plate)).astype(np.float32)
        share = self._reduced(self._cut(known.astype(np.uint8) * np.uint8(255)))
        self._known = (share > 250) & (unrest < _RESTLESS)
        self._noise = max(_NOISE, _NOISES * unrest)
        self._face_px = face_px

    def make(
        self, crop: UInt8[np.ndarray, "S S 3"], seen: UInt8[np.ndarray, "256 256"]
    ) -> UInt8[np.ndarray, "S S"]:
        """The matte of a crop, 0–255.

        Args:
            crop: the picture.
            seen: probability of the person in its part inside the picture, from :func:`steady`.
        """
        own = self._cut(crop)
        small = self._reduced(own)
        probability = seen.astype(np.float32) / 255
        prior = cv2.resize(probability, small.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        prior = self._compared(small, prior)
        prior = cv2.resize(prior, own.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        reach = max(2, round(_REACH_FH * self._face_px))
        fine = cv2.ximgproc.guidedFilter(
            np.ascontiguousarray(own), prior, reach, _SMOOTH, None, -1, self._scale
        )
        alpha = _largest(np.clip((fine - _LOW) / (_HIGH - _LOW), 0.0, 1.0))
        x0, y0, x1, y1 = self._inside
        return cv2.copyMakeBorder(
            (255.0 * alpha + 0.5).astype(np.uint8),
            *(y0, self._side - y1, x0, self._side - x1),
            cv2.BORDER_REPLICATE,
        )

    def _cut(self, picture: np.ndarray) -> np.ndarray:
        x0, y0, x1, y1 = self._inside
        return picture[y0:y1, x0:x1]

    def _reduced(self, picture: np.ndarray) -> np.ndarray:
        if self._scale == 1.0:
            return picture
        return cv2.resize(
            picture, None, fx=self._scale, fy=self._scale, interpolation=cv2.INTER_AREA
        )

    def _compared(self, crop: np.ndarray, prior: np.ndarray) -> np.ndarray:
        """The probability, given how far each pixel near the outline is from the background."""
        prior = np.clip(prior, 0.005, 0.995)
        away = cv2.distanceTransform((prior < 0.3).astype(np.uint8), cv2.DIST_L2, 5)
        away = away / (self._face_px * self._scale)
        fade = smoothstep((away - _ASKED_FH) / (_FADED_FH - _ASKED_FH))
        weight = self._known * (1 - fade)
        if not weight.any():
            return prior
        difference = cv2.GaussianBlur(crop, (0, 0), 0.8).astype(np.float32) - self._plate
        sure = self._known & (prior < 0.03)
        if sure.sum() > 100:
            # Exposure and white balance drift.
            difference -= np.median(difference[sure][:: 1 + int(sure.sum()) // 4000], axis=0)
        far = np.square(difference).mean(-1) / self._noise**2
        told = np.clip(0.5 * far + _SAME, _LEAST, _MOST)
        logit = np.log(prior / (1 - prior)) + weight * told
        return np.asarray(1 / (1 + np.exp(-logit)), np.float32)


def _largest(alpha: np.ndarray) -> np.ndarray:
    """The matte without what is not connected to its largest part."""
    count, labels, figures, _ = cv2.connectedComponentsWithStats((alpha > 0.3).astype(np.uint8))
    if count <= 2:
        return alpha
    largest = 1 + int(figures[1:, cv2.CC_STAT_AREA].argmax())
    near = cv2.dilate((labels == largest).astype(np.uint8), np.ones((9, 9), np.uint8))
    return alpha * near
