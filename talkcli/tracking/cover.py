"""Finds frames in which something covers the face: a hand, a microphone, another head.

Landmarks do not tell: the network imagines what it cannot see. The skin does. Every frame is seen
as the same small picture of the face without its pose, sampled on the triangles of the face model
and without eyes and mouth; what is unlike that of the other frames over a part of it is covered.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from talkcli.face.model import FaceModel
from talkcli.face.topology import EYE_LEFT, EYE_RIGHT, LIPS, SKIN
from talkcli.shapes import Bool, Float, UInt8

#: Samples across the face, and pixels of the face that they are taken from.
_ACROSS, _FACE_PX = 24, 72
#: Nothing is sampled this close to lips and eyes, cm: they move.
_LIPS_CM, _EYES_CM = 0.9, 0.7
#: Deviations are taken over windows of this many samples a side, half full at least.
_WINDOW, _FULL = 5, 12
#: Camera noise, grey levels, and the largest deviation that a sample may contribute.
_NOISE, _MOST = 3.0, 8.0
#: Deviation of the most unlike window from which a face is covered, and in units of that of the
#: three quarters of the frames that are least unlike. A hand of half a face height on mouth, cheek
#: or nose of two people gave 3.4 to 6.6 (one of .4 on the chin 2.0, which is missed). Of 17 clips
#: without one, six stay below 2.8; others reach 3 to 7 in turned heads.
_UNLIKE, _TIMES = 3.3, 2.5


@dataclass(frozen=True)
class _Samples:
    """Where the face is sampled.

    Attributes:
        corners: ``[k, 3]`` vertices of the triangle of each sample.
        shares: ``[k, 3]`` weights of its corners.
        places: ``[k]`` its place in a grid of ``_ACROSS`` squared.
    """

    corners: np.ndarray
    shares: np.ndarray
    places: np.ndarray


@lru_cache(maxsize=1)
def _samples() -> _Samples:
    model = FaceModel.load()
    flat = model.vertices[:, :2].astype(np.float64)
    low, high = flat[:468].min(0), flat[:468].max(0)
    x, y = np.meshgrid(np.linspace(low[0], high[0], _ACROSS), np.linspace(high[1], low[1], _ACROSS))
    grid = np.stack([x, y], -1).reshape(-1, 2)
    triangles = model.triangles[model.triangle_labels == SKIN]
    shares = _barycentric(grid, flat[triangles])
    inside = (shares > -1e-6).all(-1)
    # The foremost of the triangles that lie over each other at the rim.
    front = np.where(inside, (shares * model.vertices[triangles, 2]).sum(-1), -np.inf)
    chosen = front.argmax(1)
    wanted = inside.any(1)
    for vertices, reach in ((LIPS, _LIPS_CM), (EYE_LEFT.rim, _EYES_CM), (EYE_RIGHT.rim, _EYES_CM)):
        apart = np.linalg.norm(grid[:, None] - flat[list(vertices)], axis=-1).min(1)
        wanted &= apart >= reach
    places = np.flatnonzero(wanted)
    return _Samples(triangles[chosen[places]], shares[places, chosen[places]], places)


def _barycentric(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """``[n, t, 3]`` weights of the corners ``[t, 3, 2]`` of every triangle at ``[n, 2]`` points."""
    a, b, c = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    from_a = points[:, None] - a
    area = b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0]
    second = (from_a[..., 0] * c[:, 1] - from_a[..., 1] * c[:, 0]) / area
    third = (b[:, 0] * from_a[..., 1] - b[:, 1] * from_a[..., 0]) / area
    return np.stack([1 - second - third, second, third], -1)


def skin_view(rgb: UInt8[np.ndarray, "H W 3"], points: np.ndarray) -> UInt8[np.ndarray, "k 3"]:
    """The colours of the face at its samples.

    Args:
        rgb: a frame.
        points: ``[478, 3]`` landmarks in its pixels.
    """
    samples = _samples()
    places = (points[samples.corners, :2] * samples.shares[..., None]).sum(1)
    height, width = rgb.shape[:2]
    low = np.clip(np.floor(points[:, :2].min(0)).astype(int), 0, (width - 2, height - 2))
    high = np.clip(np.ceil(points[:, :2].max(0)).astype(int), low + 2, (width, height))
    face = rgb[low[1] : high[1], low[0] : high[0]]
    # Reduced first, so that every sample is the mean of its surroundings.
    shrink = min(1.0, _FACE_PX / max(face.shape[:2]))
    size = [max(1, round(length * shrink)) for length in (high - low)]
    small = cv2.resize(face, size, interpolation=cv2.INTER_AREA)
    at = ((places - low) * (np.array(size) / (high - low))).astype(np.float32)
    return cv2.remap(small, at[None], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]


def empty_view() -> UInt8[np.ndarray, "k 3"]:
    """What stands for :func:`skin_view` without a face."""
    return np.zeros((len(_samples().places), 3), np.uint8)


def find_covered(
    views: UInt8[np.ndarray, "n k 3"], shown: Bool[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """Whether something covers the face in each frame.

    Args:
        views: from :func:`skin_view`, of one person in one light.
        shown: frames that show a face.
    """
    covered = np.zeros(len(views), bool)
    if not shown.any():
        return covered
    unlike = _unlike(views[shown])
    limit = max(_UNLIKE, _TIMES * float(np.quantile(unlike, 0.75)))
    covered[shown] = unlike > limit
    return covered


def _unlike(views: np.ndarray) -> Float[np.ndarray, " n"]:
    """``[n]`` mean deviation, in the window where it is largest, from the usual face."""
    usual, spread = _usual(views)
    window = np.ones((_WINDOW, _WINDOW), np.float32)
    places = np.divmod(_samples().places, _ACROSS)
    mask = np.zeros((_ACROSS, _ACROSS), np.float32)
    mask[places] = 1.0
    count = cv2.filter2D(mask, -1, window, borderType=cv2.BORDER_CONSTANT)
    worst = np.empty(len(views))
    for index, view in enumerate(views):
        far = _without_exposure(view.astype(np.float32) - usual) / spread
        grid = np.zeros_like(mask)
        grid[places] = np.minimum(np.sqrt(np.square(far).mean(-1)), _MOST)
        sums = cv2.filter2D(grid, -1, window, borderType=cv2.BORDER_CONSTANT)
        worst[index] = (sums / np.maximum(count, 1))[count >= _FULL].max()
    return worst


def _usual(views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``[k, 3]`` median and deviation over some of the frames, at most 500."""
    some = views[:: 1 + len(views) // 500].astype(np.float32)
    usual = np.median(some, axis=0)
    apart = np.abs(_without_exposure(some - usual))
    return usual, 1.48 * np.median(apart, axis=0) + _NOISE


def _without_exposure(difference: np.ndarray) -> np.ndarray:
    return np.asarray(difference - np.median(difference, axis=-2, keepdims=True))
