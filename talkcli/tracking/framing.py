"""Which frames of a clip to keep, which one shows the face best, and where the head moves."""

from __future__ import annotations

import numpy as np

from talkcli.face.topology import RIGID
from talkcli.shapes import Bool, Float, Integer
from talkcli.tracking.detector import Square
from talkcli.tracking.landmarks import crop_rectangle
from talkcli.tracking.survey import Survey
from talkcli.types import ARKIT_NAMES, MotionCurves

#: Shapes that are at rest in a neutral face.
_RESTING = np.array(
    [
        name.startswith(("jaw", "mouth", "brow", "cheek", "eyeBlink", "eyeWide"))
        for name in ARKIT_NAMES
    ]
)
#: Degrees of yaw, pitch, roll and gaze that count like one full weight of a shape.
_UNREST_DEG = np.array([15.0, 20.0, 25.0])
_GAZE_DEG = 25.0
#: A neutral face looks this far up, as landmarks measure it, degrees (2 to 12).
_USUAL_PITCH_DEG = 6.0
#: A face without any of the usual detail counts like this much unrest.
_BLUR = 3.0
#: Bins of lip opening, lip width, yaw and pitch between which the choice of frames is balanced.
_BINS = (6, 3, 5, 4)


def best_frame(
    curves: MotionCurves, part: Survey, usable: Bool[np.ndarray, " n"], share: float
) -> int:
    """The frame for a one-picture avatar: frontal, at rest, sharp.

    Args:
        curves: the performance.
        part: figures of the same frames.
        usable: which of them may be taken; if none, all.
        share: only this share of them, from the beginning, is looked at.
    """
    count = max(1, int(share * len(curves)))
    angles = np.abs(curves.rotation - (0.0, _USUAL_PITCH_DEG, 0.0)) / _UNREST_DEG
    aside = np.abs(curves.gaze - np.median(curves.gaze, axis=0)).sum(1) / _GAZE_DEG
    sharp = np.nan_to_num(part.sharp)
    detail = sharp / max(float(np.quantile(sharp, 0.9)), 1e-6)
    unrest = curves.expression[:, _RESTING].sum(1) + angles.sum(1) + aside
    unrest = unrest + _BLUR * np.clip(1.0 - detail, 0.0, 1.0) + 100.0 * ~usable
    return int(np.argmin(unrest[:count]))


def head_box(
    points: Float[np.ndarray, "n 478 3"], usable: Bool[np.ndarray, " n"], best: int
) -> Square:
    """The square that holds an avatar's crop, as its head moves through the usable frames.

    It has whole pixels, so that it can be cut without resampling.

    Args:
        points: landmarks, pixels.
        usable: which frames count.
        best: the frame that the avatar is built from.
    """
    x, y, side = crop_rectangle(points[best])
    rigid = points[:, list(RIGID), :2].astype(np.float64)
    middles = rigid.mean(1)
    sizes = np.sqrt(((rigid - middles[:, None]) ** 2).sum((1, 2)))
    scale = (sizes / sizes[best])[:, None]
    chosen = usable | (np.arange(len(points)) == best)
    low = (middles + scale * (np.array([x, y]) - middles[best]))[chosen]
    high = low + side * scale[chosen]
    lowest, highest = low.min(0), high.max(0)
    width = float(np.ceil((highest - lowest).max()))
    corner = np.floor((lowest + highest - width) / 2)
    return Square(float(corner[0]), float(corner[1]), width + 1.0)


def spread_frames(
    part: Survey, usable: Bool[np.ndarray, " n"], most: int, held_out: float
) -> Integer[np.ndarray, " m"]:
    """The frames to store, increasing: all usable ones, or a choice.

    Of the share at the end that is held out, the choice is even in time. Of the others, half is
    even in time, and half takes turns between the poses and mouths that the clip shows, so that
    rare ones are not lost.

    Args:
        part: figures of the frames.
        usable: which may be taken.
        most: how many at most.
        held_out: share of the frames, at the end, that is held out.
    """
    places = np.flatnonzero(usable)
    if len(places) <= most:
        return places
    split = round((1.0 - held_out) * len(usable))
    early, late = places[places < split], places[places >= split]
    quota = round(most * len(early) / len(places))
    chosen = _evenly(early, quota - quota // 2)
    rest = np.setdiff1d(early, chosen)
    chosen = np.concatenate([chosen, _varied(part, rest, quota - len(chosen))])
    return np.sort(np.concatenate([chosen, _evenly(late, most - quota)]))


def _evenly(places: np.ndarray, count: int) -> np.ndarray:
    steps = np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int)
    return places[np.unique(steps)]


def _varied(part: Survey, places: np.ndarray, count: int) -> np.ndarray:
    """Frames from as many bins of pose and mouth as there are, one from each bin in turn."""
    features = np.column_stack([part.mouth, part.angles[:, :2]])[places]
    code = np.zeros(len(places), int)
    for values, bins in zip(features.T, _BINS, strict=True):
        low, high = np.nanquantile(values, (0.01, 0.99))
        share = np.nan_to_num((values - low) / max(high - low, 1e-9))
        code = bins * code + np.clip((bins * share).astype(int), 0, bins - 1)
    # The turn of a frame: how many of its bin come before it, in an order that is even in time.
    order = np.random.default_rng(0).permutation(len(places))
    turn = np.empty(len(places), int)
    for bin_ in np.unique(code):
        members = order[code[order] == bin_]
        turn[members] = np.arange(len(members))
    return places[np.argsort(turn, kind="stable")[:count]]
