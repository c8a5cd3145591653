"""Distances between the landmarks of two faces.

LMD is the landmark distance of Chen, Li, Maddox, Duan and Xu, "Lip movements generation at a
glance", ECCV 2018: mean distance after the centres of both sets are laid over each other, in
pixels. Papers measure 68 or 20 landmarks of dlib in frames of a fixed size. Here they are those of
FaceMesh in pixels of the real video, so figures compare only with others made by this tool.
"""

from __future__ import annotations

import numpy as np

from talkcli.face.measures import face_height
from talkcli.face.pose import fit_similarity
from talkcli.face.topology import LIPS, RIGID
from talkcli.metrics.pair import FramePair
from talkcli.metrics.result import FrameValues, Metric
from talkcli.shapes import Float

#: The landmarks of the surface; the other ten are of the irises.
_SURFACE = range(468)
_NO_FACE = "no pair shows two faces"


def landmark_error(
    found: Float[np.ndarray, "478 3"],
    wanted: Float[np.ndarray, "478 3"],
    part: tuple[int, ...] = tuple(_SURFACE),
) -> float:
    """Mean landmark distance after aligning the rigid ones by a similarity, % of the face height.

    Args:
        found: landmarks in the generated picture, pixels.
        wanted: landmarks in the driving picture, pixels.
        part: the landmarks that count.
    """
    rigid = list(RIGID)
    plane = np.array([1.0, 1.0, 0.0])
    scale, rotation, shift = fit_similarity(wanted[rigid] * plane, found[rigid] * plane)
    aligned = scale * (wanted * plane) @ rotation.T + shift
    height = face_height(found)
    distance = np.linalg.norm((aligned - found)[list(part), :2], axis=1)
    return 100.0 * float(distance.mean() / height)


def landmark_distance(
    found: Float[np.ndarray, "478 3"],
    wanted: Float[np.ndarray, "478 3"],
    part: tuple[int, ...] = tuple(_SURFACE),
) -> float:
    """LMD: mean landmark distance after laying the centres over each other, pixels.

    Args:
        found: landmarks in the generated picture, pixels.
        wanted: landmarks in the driving picture, pixels.
        part: the landmarks that count.
    """
    difference = (found - wanted)[list(part), :2]
    return float(np.linalg.norm(difference - difference.mean(0), axis=1).mean())


class LandmarkScores:
    """Landmark distances of every pair with two faces, and where the face lies."""

    def __init__(self) -> None:
        self._lmd = FrameValues("lmd", "LMD, face", "px", "lower")
        self._lmd_lips = FrameValues("lmd_lips", "LMD, lips", "px", "lower")
        self._error = FrameValues("landmark_error", "landmark error, face", "% fh", "lower")
        self._error_lips = FrameValues(
            "landmark_error_lips", "landmark error, lips", "% fh", "lower"
        )
        self._place = FrameValues("place_error", "place of the face", "% fh", "lower")

    def add(self, pair: FramePair) -> None:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        rows = (self._lmd, self._lmd_lips, self._error, self._error_lips, self._place)
        found, wanted = pair.made_points, pair.real_points
        if found is None or wanted is None:
            for row in rows:
                row.add(None)
            return
        self._lmd.add(landmark_distance(found, wanted))
        self._lmd_lips.add(landmark_distance(found, wanted, LIPS))
        self._error.add(landmark_error(found, wanted))
        self._error_lips.add(landmark_error(found, wanted, LIPS))
        apart = (found - wanted)[list(RIGID), :2].mean(0)
        self._place.add(100.0 * float(np.linalg.norm(apart) / face_height(wanted)))

    def finish(self) -> list[Metric]:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        rows = (self._lmd, self._lmd_lips, self._error, self._error_lips, self._place)
        return [row.metric(_NO_FACE) for row in rows]
