"""The second reading of a clip: crops, mattes and the background, once the segment is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from talkcli.layers.clean_plate import CleanPlate, clean_plate, covered_pixels
from talkcli.layers.clip import Box
from talkcli.layers.pictures import decode_picture, encode_picture
from talkcli.layers.video_matte import (
    NETWORK_PX,
    REACH,
    UNLIKE_MATTES,
    UNLIKE_SEEN,
    MatteMaker,
    NumberedMatte,
    seen_person,
    steady,
)

#: Whole frames that the background is made from take no more memory than this, bytes; and how many
#: there are at least and at most.
_PLATE_BYTES, _FEWEST, _MOST = 192 << 20, 7, 25
#: Face height at which it is decided what a person covers, pixels.
_COVERED_FACE_PX = 135.0


@dataclass(frozen=True)
class FramePlan:
    """What is wanted of the frames of a segment.

    Attributes:
        path: the clip.
        first: number of the segment's first frame in the clip.
        turned: degrees clockwise by which frames are turned.
        points: ``[n, 478, 3]`` landmarks of the segment, pixels of the upright picture.
        box: the square of the crops.
        stored: ``[m]`` frames whose crops are stored.
        usable: ``[n]`` frames that the background may be taken from.
        best: the frame whose whole picture is kept.
        face_px: usual face height, pixels.
    """

    path: Path
    first: int
    turned: int
    points: np.ndarray
    box: Box
    stored: np.ndarray
    usable: np.ndarray
    best: int
    face_px: float

    def in_crop(self, number: int) -> np.ndarray:
        """``[478, 2]`` landmarks of a frame, pixels of its crop."""
        corner = (self.box.x, self.box.y)
        return (self.points[number, :, :2] - corner) * (self.box.pixels / self.box.side)


@dataclass
class Frames:
    """What was taken from the frames of a segment.

    Attributes:
        best: ``[H, W, 3]`` the whole picture of the best frame.
        crops: encoded crops, in the order of the plan.
        seen: ``[256, 256]`` uint8 probabilities of the person in each.
        plate: the background.
    """

    best: np.ndarray = field(default_factory=lambda: np.zeros((1, 1, 3), np.uint8))
    crops: list[bytes] = field(default_factory=list)
    seen: list[np.ndarray] = field(default_factory=list)
    plate: CleanPlate | None = None


def read_segment(plan: FramePlan, progress: Callable[[], None]) -> Frames:
    """Decode the segment once and take from it what the plan wants.

    Args:
        plan: what is wanted.
        progress: called after each frame.

    Raises:
        MissingDependencyError: MediaPipe cannot be imported.
    """
    made = Frames()
    samples: dict[int, np.ndarray] = {}
    wanted = set(plan.stored.tolist())
    for number, seen in steady(_seen(plan, made, samples, progress), UNLIKE_SEEN):
        if number in wanted:
            made.seen.append(seen)
    covered = [_covered(plan, number, picture) for number, picture in samples.items()]
    made.plate = clean_plate(list(samples.values()), covered)
    return made


def make_mattes(plan: FramePlan, made: Frames, progress: Callable[[], None]) -> list[bytes]:
    """Encoded mattes of the stored crops.

    Args:
        plan: what was wanted of the frames.
        made: what was taken from them.
        progress: called after each matte.
    """
    assert made.plate is not None
    plate, known = made.plate.picture, made.plate.known.astype(np.uint8)
    maker = MatteMaker(
        cut_box(plate, plan.box),
        cut_box(known, plan.box) > 0,
        made.plate.unrest,
        plan.face_px * plan.box.pixels / plan.box.side,
        _inside(plan.box, known.shape),
    )
    mattes = []
    for _, matte in steady(_mattes(plan, made, maker), UNLIKE_MATTES):
        mattes.append(encode_picture(matte))
        progress()
    return mattes


def _mattes(plan: FramePlan, made: Frames, maker: MatteMaker) -> Iterator[NumberedMatte]:
    for number, data, seen in zip(plan.stored.tolist(), made.crops, made.seen, strict=True):
        yield number, maker.make(decode_picture(data, colour=True), seen), plan.in_crop(number)


def _seen(
    plan: FramePlan, made: Frames, samples: dict[int, np.ndarray], progress: Callable[[], None]
) -> Iterator[NumberedMatte]:
    """Number, probability and landmarks of every frame that a matte is made from."""
    stored = np.zeros(len(plan.points), bool)
    stored[plan.stored] = True
    needed = np.convolve(stored, np.ones(2 * REACH + 1), "same") > 0
    sampled: set[int] | None = None
    for number, rgb in enumerate(_pictures(plan)):
        if sampled is None:
            sampled = _sampled(plan, rgb.nbytes)
        if number in sampled:
            samples[number] = rgb
        if number == plan.best:
            made.best = rgb
        if needed[number]:
            crop = cut_box(rgb, plan.box)
            if stored[number]:
                made.crops.append(encode_picture(crop))
            x0, y0, x1, y1 = _inside(plan.box, rgb.shape)
            scale = np.array([NETWORK_PX / (x1 - x0), NETWORK_PX / (y1 - y0)])
            points = (plan.in_crop(number) - (x0, y0)) * scale
            yield number, seen_person(crop[y0:y1, x0:x1]), points
        progress()


def _pictures(plan: FramePlan) -> Iterator[np.ndarray]:
    from talkcli.media.read import read_frames
    from talkcli.tracking.upright import turned

    for frame in islice(read_frames(plan.path, skip=plan.first), len(plan.points)):
        yield turned(frame.rgb, plan.turned)


def _sampled(plan: FramePlan, size: int) -> set[int]:
    """Frames for the background, spread over those that are usable."""
    count = int(np.clip(_PLATE_BYTES // size, _FEWEST, _MOST))
    places = np.flatnonzero(plan.usable)
    steps = np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int)
    return set(places[np.unique(steps)].tolist())


def cut_box(rgb: np.ndarray, box: Box) -> np.ndarray:
    """``[S, S, 3]`` the box of a picture, its edges replicated, shrunk to the stored size."""
    height, width = rgb.shape[:2]
    x, y, side = (round(value) for value in box)
    left, top = max(0, -x), max(0, -y)
    right, bottom = max(0, x + side - width), max(0, y + side - height)
    part = rgb[max(0, y) : max(0, y + side), max(0, x) : max(0, x + side)]
    part = cv2.copyMakeBorder(part, top, bottom, left, right, cv2.BORDER_REPLICATE)
    if box.pixels == side:
        return part
    return cv2.resize(part, (box.pixels, box.pixels), interpolation=cv2.INTER_AREA)


def _inside(box: Box, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the part of the crops that lies in the picture, pixels."""
    scale = box.pixels / box.side
    x0, y0 = (int(np.ceil(scale * max(0.0, -corner))) for corner in box[:2])
    x1, y1 = (
        int(scale * min(box.side, length - corner))
        for length, corner in zip(shape[1::-1], box[:2], strict=True)
    )
    return x0, y0, x1, y1


def _covered(plan: FramePlan, number: int, picture: np.ndarray) -> np.ndarray:
    """``[H, W]`` pixels of a whole picture that show the person, or somebody else."""
    from talkcli.layers.matte import picture_probability

    height, width = picture.shape[:2]
    # The network sees no more than this; a margin is grown in a hundredth of the time of 4K.
    scale = min(1.0, _COVERED_FACE_PX / plan.face_px)
    size = max(3, round(width * scale)), max(3, round(height * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    face_px = plan.face_px * scale
    person = picture_probability(small, plan.points[number, :, :2] * scale, face_px)
    covered = covered_pixels(person, face_px).astype(np.uint8)
    return cv2.resize(covered, (width, height), interpolation=cv2.INTER_NEAREST) > 0
