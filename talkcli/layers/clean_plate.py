"""The picture behind a person in a clip, from what the frames uncover one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from talkcli.imaging import disc
from talkcli.layers.patches import fill_patches
from talkcli.shapes import Bool, Float32, UInt8

#: Probability of a person up to which a pixel counts as uncovered.
_UNCOVERED = 0.1
#: Surroundings of a person that count as covered, face heights.
_MARGIN_FH = 0.05
#: Frames that must show a pixel uncovered for it to be known.
_FEWEST = 2
#: What no frame uncovers is filled at this many pixels of the longer side: the person hides it.
_FILLED_PX = 480
#: Rows whose samples are in memory in a wide type at the same time.
_ROWS = 64


@dataclass(frozen=True)
class CleanPlate:
    """The background of a clip.

    Attributes:
        picture: ``[H, W, 3]`` uint8 sRGB, without the person.
        known: ``[H, W]`` whether frames have shown it.
        unrest: usual deviation of uncovered pixels over time, grey levels: about 1 for a still
            camera, 10 and more for a moving one.
    """

    picture: UInt8[np.ndarray, "H W 3"]
    known: Bool[np.ndarray, "H W"]
    unrest: float


def covered_pixels(person: Float32[np.ndarray, "H W"], face_px: float) -> Bool[np.ndarray, "H W"]:
    """Pixels that show a person, or their shadow and blur around it.

    Args:
        person: probability of a person.
        face_px: face height, pixels.
    """
    margin = disc(_MARGIN_FH * face_px)
    return np.asarray(cv2.dilate((person > _UNCOVERED).astype(np.uint8), margin) > 0)


def clean_plate(
    pictures: Sequence[UInt8[np.ndarray, "H W 3"]],
    covered: Sequence[Bool[np.ndarray, "H W"]],
) -> CleanPlate:
    """Put together the background that some frames show, and fill the rest with more of it.

    Args:
        pictures: frames, spread over the clip.
        covered: what the person covers in each, from :func:`covered_pixels`.
    """
    height, width = pictures[0].shape[:2]
    plate = np.zeros((height, width, 3), np.uint8)
    counts = np.zeros((height, width), np.uint8)
    spreads = []
    for top in range(0, height, _ROWS):
        rows = slice(top, top + _ROWS)
        stack = np.stack([picture[rows] for picture in pictures]).astype(np.int16)
        hidden = np.stack([mask[rows] for mask in covered])
        median, count, spread = _middle(stack, hidden)
        plate[rows], counts[rows] = median, count
        spreads.append(spread)
    known = counts >= min(_FEWEST, len(pictures))
    unrest = np.concatenate(spreads)
    return CleanPlate(
        _filled(plate, known), known, float(np.median(unrest)) if len(unrest) else 0.0
    )


def _middle(stack: np.ndarray, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Median of the uncovered samples ``[rows, W, 3]``, their number, and their usual deviations.

    Args:
        stack: ``[K, rows, W, 3]`` int16; changed.
        hidden: ``[K, rows, W]`` bool.
    """
    count = (~hidden).sum(0)
    stack[hidden] = 999  # sorts behind every colour
    stack.sort(0)
    place = np.maximum(count - 1, 0)

    def sorted_at(index: np.ndarray) -> np.ndarray:
        return np.asarray(np.take_along_axis(stack, index[None, ..., None], 0)[0])

    low, high = sorted_at(place // 2), sorted_at((place + 1) // 2)
    lower, upper = sorted_at(place // 8), sorted_at(7 * place // 8)
    median = np.where(count[..., None] > 0, (low + high + 1) // 2, 0).astype(np.uint8)
    # An eighth and seven eighths lie 1.15 deviations to either side of the middle.
    spread = (upper - lower)[count >= 4].mean(-1) / 2.3
    return median, count.astype(np.uint8), spread


def _filled(plate: np.ndarray, known: np.ndarray) -> np.ndarray:
    if known.all() or not known.any():
        return plate
    height, width = known.shape
    scale = min(1.0, _FILLED_PX / max(height, width))
    size = max(8, round(width * scale)), max(8, round(height * scale))
    weight = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    colours = plate.astype(np.float32) * known[..., None] / 255
    small = cv2.resize(colours, size, interpolation=cv2.INTER_AREA)
    small /= np.maximum(weight, 1e-3)[..., None]
    sure = weight > 0.5
    filled = fill_patches(np.clip(small, 0, 1), ~sure, sure)
    large = cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC)
    # A soft transition hides the edge between what was seen and what was filled.
    near = cv2.GaussianBlur(known.astype(np.float32), (0, 0), 0.004 * max(height, width))
    share = np.clip(2 * near - 1, 0, 1)[..., None] * known[..., None]
    mixed = share * plate + (1 - share) * (255 * large)
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
