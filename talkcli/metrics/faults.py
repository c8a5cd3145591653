"""Faults that a video shows by itself, without the real clip: measured frame by frame.

Everything is measured on pictures in which the face is about a hundred pixels high, so that the
figures of videos of any size are comparable and noise of single pixels hardly counts.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np

from talkcli.face.topology import BROW_LEFT, BROW_RIGHT, EYE_LEFT, EYE_RIGHT, LIPS, NOSE
from talkcli.metrics.regions import face_regions
from talkcli.metrics.seam import steps
from talkcli.metrics.temporal import acceleration, passing_change
from talkcli.shapes import Bool, Float, UInt8

#: Face height to which pictures are reduced, pixels.
_FACE_PX = 96.0
#: Width of the bands inside and outside of the head's outline, face heights.
_BAND = 0.06
#: Side of the median filter that closes holes, and how much darker, brighter or differently
#: coloured a hole is than the skin around it, grey levels.
_HOLE_PX, _HOLE_LEVELS = 11, 48
#: On smaller faces the filter takes shades for holes, pixels.
_LEAST_FACE_PX = 48.0
#: What is no skin is left out with a margin of this many pixels.
_MARGIN_PX = 4
_FEATURES = tuple(
    list(group)
    for group in (
        LIPS,
        NOSE,
        EYE_LEFT.rim + EYE_LEFT.upper_ring + EYE_LEFT.lower_ring + BROW_LEFT,
        EYE_RIGHT.rim + EYE_RIGHT.upper_ring + EYE_RIGHT.lower_ring + BROW_RIGHT,
    )
)


@dataclass(frozen=True)
class FrameFaults:
    """What was measured in every frame; NaN where it could not be.

    Attributes:
        lost: ``[n]`` 1 where no face was found, else 0.
        cut: ``[n]`` 1 where the lips leave the picture, else 0.
        jitter: ``[n]`` acceleration of the landmarks, % of the face height per frame².
        flicker: ``[n]`` brightness outside the head that comes and goes within two frames, levels.
        holes: ``[n]`` spots in the skin, % of it.
        seam: ``[n]`` the same as ``flicker``, of the brightness step across the head's outline.
    """

    lost: Float[np.ndarray, " n"]
    cut: Float[np.ndarray, " n"]
    jitter: Float[np.ndarray, " n"]
    flicker: Float[np.ndarray, " n"]
    holes: Float[np.ndarray, " n"]
    seam: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class _Seen:
    """What is kept of a frame until the two after it have been seen."""

    points: np.ndarray | None
    luma: np.ndarray
    head: np.ndarray | None
    steps: np.ndarray | None


class FaultFinder:
    """Sees every frame of a video once, in order."""

    def __init__(self) -> None:
        self._scale = 1.0
        self._looks_for_holes = True
        self._rows: list[np.ndarray] = []
        self._last: deque[_Seen] = deque(maxlen=3)

    def begin(self, face_px: float) -> None:
        """Prepare for a video.

        Args:
            face_px: usual height of the face, pixels.
        """
        self._scale = min(1.0, _FACE_PX / max(face_px, 1.0))
        self._looks_for_holes = face_px >= _LEAST_FACE_PX

    def see(
        self,
        index: int,
        rgb: UInt8[np.ndarray, "h w 3"],
        points: Float[np.ndarray, "478 3"] | None,
    ) -> None:
        """Look at the next frame.

        Args:
            index: its number, from 0.
            rgb: sRGB.
            points: landmarks in its pixels, or None without a face.
        """
        row = np.full(6, np.nan)
        self._rows.append(row)
        row[0] = points is None
        if points is not None:
            row[1] = _leaves(points[list(LIPS), :2], rgb)
        small = self._reduced(rgb)
        luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        head = outline = None
        if points is not None:
            little = points * self._scale
            regions = face_regions(little, *small.shape[:2])
            head = regions["head"]
            outline = steps(luma, head, max(2.0, _BAND * _FACE_PX))
            if self._looks_for_holes:
                row[4] = holes(small, little, regions["face"])
        self._last.append(_Seen(points, luma, head, outline))
        if len(self._last) == 3:
            self._compare(index - 1)

    def faults(self) -> FrameFaults:
        """What has been measured so far."""
        return FrameFaults(*np.array(self._rows).reshape(-1, 6).T)

    def _reduced(self, rgb: np.ndarray) -> np.ndarray:
        if self._scale == 1.0:
            return rgb
        size = (round(rgb.shape[1] * self._scale), round(rgb.shape[0] * self._scale))
        return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)

    def _compare(self, middle: int) -> None:
        """Second differences over the last three frames."""
        before, now, after = self._last
        faces = [seen.points for seen in self._last if seen.points is not None]
        if len(faces) == 3:
            self._rows[middle][2] = acceleration(*faces)
        if before.luma.shape != now.luma.shape or now.luma.shape != after.luma.shape:
            return  # a few containers change their size
        change = passing_change(before.luma, now.luma, after.luma)
        heads = [seen.head for seen in self._last if seen.head is not None]
        outside = ~np.logical_or.reduce(heads) if heads else np.ones(change.shape, bool)
        if outside.any():
            self._rows[middle][3] = change[outside].mean()
        rings = [seen.steps for seen in self._last if seen.steps is not None]
        if len(rings) == 3:
            ring = passing_change(*rings)
            if np.isfinite(ring).any():
                self._rows[middle][5] = np.nanmean(ring)


def _leaves(points: np.ndarray, rgb: np.ndarray) -> bool:
    height, width = rgb.shape[:2]
    return bool((points < 0).any() or (points > (width, height)).any())


def holes(
    rgb: UInt8[np.ndarray, "h w 3"],
    points: Float[np.ndarray, "478 3"],
    face: Bool[np.ndarray, "h w"],
) -> float:
    """Spots in the skin that differ from what surrounds them, % of the skin.

    Args:
        rgb: a picture in which the face is about 100 pixels high.
        points: landmarks in its pixels.
        face: mask of the face.
    """
    other = (~face).astype(np.uint8)
    for group in _FEATURES:
        corners = np.round(points[group, :2] - 0.5).astype(np.int32)
        cv2.fillConvexPoly(other, cv2.convexHull(corners), 1)
    side = 2 * _MARGIN_PX + 1
    skin = cv2.dilate(other, np.ones((side, side), np.uint8)) == 0
    if not skin.any():
        return float("nan")
    rows, columns = np.flatnonzero(skin.any(1)), np.flatnonzero(skin.any(0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    part = np.ascontiguousarray(rgb[window])
    apart = cv2.absdiff(part, cv2.medianBlur(part, _HOLE_PX)).max(-1)
    return float(100.0 * (apart[skin[window]] > _HOLE_LEVELS).mean())
