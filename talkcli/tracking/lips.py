"""The lips of a person in a clip, measured on its landmarks."""

from __future__ import annotations

import numpy as np

from talkcli.face.alignment import PICTURE_DEPTH, align_heads
from talkcli.face.measures import lip_aperture, lip_width
from talkcli.tracking.person import Person
from talkcli.tracking.spool import LandmarkSpool

#: Frames whose landmarks are in memory at the same time.
_WINDOW = 256


def lips_of(spool: LandmarkSpool, person: Person) -> tuple[np.ndarray, np.ndarray]:
    """``[n]`` opening and width of the lips relative to the neutral ones, cm; filled where lost."""
    rest = float(lip_aperture(person.neutral)), float(lip_width(person.neutral))
    rows = np.full((len(spool), 2), np.nan)
    indices: list[int] = []
    points: list[np.ndarray] = []

    def measure() -> None:
        head = align_heads(np.array(points), person.rigid, PICTURE_DEPTH).points
        rows[indices] = np.stack([lip_aperture(head) - rest[0], lip_width(head) - rest[1]], 1)
        indices.clear()
        points.clear()

    for index, frame in enumerate(spool):
        if frame.points is not None:
            indices.append(index)
            points.append(frame.points)
        if len(points) == _WINDOW:
            measure()
    if points:
        measure()
    there = np.flatnonzero(np.isfinite(rows[:, 0]))
    places = np.arange(len(rows))
    aperture, width = (np.interp(places, there, rows[there, k]) for k in range(2))
    return aperture, width
