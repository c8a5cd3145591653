"""What a first look at a clip tells about every frame: cuts, pose, mouth, sharpness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from talkcli.face.alignment import align_heads
from talkcli.face.measures import face_height, lip_aperture, lip_width
from talkcli.face.model import FaceModel
from talkcli.face.pose import rotation_to_euler
from talkcli.shapes import Bool, Float, UInt8
from talkcli.tracking.cover import empty_view, skin_view
from talkcli.tracking.shots import ChangeMeter, find_cuts
from talkcli.tracking.spool import LandmarkSpool

#: Frames whose landmarks are in memory at the same time.
_WINDOW = 256
#: A frame is blurred below this share of the usual sharpness around it, within this many seconds.
_BLURRED, _AROUND_S = 0.55, 1.0
#: Share of the landmarks that must lie in the picture.
_INSIDE = 0.98


class SceneWatch:
    """Watches a clip while its landmarks are measured; a :class:`talkcli.tracking.clip.Onlooker`.

    Attributes:
        size: width and height of the frames, pixels; (0, 0) before the first.
    """

    def __init__(self) -> None:
        self._meter = ChangeMeter()
        self._views: list[np.ndarray] = []
        self.size = (0, 0)

    def restart(self) -> None:
        """Forget all frames."""
        self._meter.clear()
        self._views.clear()

    def is_cut(self, rgb: np.ndarray) -> bool:
        """Whether a frame may begin another scene."""
        self.size = (rgb.shape[1], rgb.shape[0])
        return self._meter.push(rgb)

    def see(self, rgb: np.ndarray, points: np.ndarray | None) -> None:
        """Look at the frame and its landmarks."""
        self._views.append(empty_view() if points is None else skin_view(rgb, points))

    @property
    def views(self) -> UInt8[np.ndarray, "n k 3"]:
        """``[n, k, 3]`` the skin of the face in each frame."""
        return np.array(self._views)

    @property
    def cuts(self) -> Bool[np.ndarray, " n"]:
        """``[n]`` whether each frame begins another scene."""
        return find_cuts(np.array(self._meter.changes))


@dataclass(frozen=True)
class Survey:
    """Figures of every frame of a clip; NaN or False without a face.

    Attributes:
        times: ``[n]`` the middle of each frame's display, seconds.
        cut: ``[n]`` whether the frame begins another scene.
        found: ``[n]`` whether a face was found.
        inside: ``[n]`` whether the whole face lies in the picture.
        sharp: ``[n]`` sharpness of the face, see :func:`talkcli.tracking.spool.sharpness`.
        clear: ``[n]`` whether the face is as sharp as in the frames around it.
        angles: ``[n, 3]`` yaw, pitch and roll of the face, degrees.
        mouth: ``[n, 2]`` opening and width of the lips, cm of a head of standard size.
        height: ``[n]`` face height, pixels.
        views: ``[n, k, 3]`` the skin of the face, see :func:`talkcli.tracking.cover.skin_view`.
    """

    times: Float[np.ndarray, " n"]
    cut: Bool[np.ndarray, " n"]
    found: Bool[np.ndarray, " n"]
    inside: Bool[np.ndarray, " n"]
    sharp: Float[np.ndarray, " n"]
    clear: Bool[np.ndarray, " n"]
    angles: Float[np.ndarray, "n 3"]
    mouth: Float[np.ndarray, "n 2"]
    height: Float[np.ndarray, " n"]
    views: UInt8[np.ndarray, "n k 3"]

    def __len__(self) -> int:
        return len(self.times)

    @property
    def good(self) -> Bool[np.ndarray, " n"]:
        """``[n]`` whether the frame shows the face well."""
        return self.found & self.inside & self.clear

    def part(self, first: int, end: int) -> Survey:
        """The figures of some frames."""
        rows: dict[str, Any] = {
            item.name: getattr(self, item.name)[first:end] for item in fields(self)
        }
        return Survey(**rows)


def survey(spool: LandmarkSpool, onlooker: SceneWatch) -> Survey:
    """Work out the figures of every frame.

    Args:
        spool: landmarks of the clip.
        onlooker: has watched while they were measured.
    """
    count = len(spool)
    angles, mouth = np.full((count, 3), np.nan), np.full((count, 2), np.nan)
    height, sharp = np.full(count, np.nan), np.full(count, np.nan)
    inside = np.zeros(count, bool)
    for indices, points, sharpness in _windows(spool):
        heads = align_heads(points, FaceModel.load().vertices)
        angles[indices] = [rotation_to_euler(rotation) for rotation in heads.rotations]
        mouth[indices] = np.stack([lip_aperture(heads.points), lip_width(heads.points)], 1)
        height[indices] = [face_height(face) for face in points]
        place = points[..., :2]
        within = ((place >= 0) & (place < onlooker.size)).all(-1)
        inside[indices] = within.mean(1) >= _INSIDE
        sharp[indices] = sharpness
    found = np.isfinite(height)
    clear = found & (np.nan_to_num(sharp) >= _BLURRED * _usual(sharp, spool.step_s))
    return Survey(
        times=spool.middles,
        cut=onlooker.cuts,
        found=found,
        inside=inside,
        sharp=sharp,
        clear=clear,
        angles=angles,
        mouth=mouth,
        height=height,
        views=onlooker.views,
    )


def _windows(spool: LandmarkSpool) -> Iterator[tuple[list[int], np.ndarray, list[float]]]:
    indices: list[int] = []
    points: list[np.ndarray] = []
    sharpness: list[float] = []
    for index, frame in enumerate(spool):
        if frame.points is not None:
            indices.append(index)
            points.append(frame.points)
            sharpness.append(frame.sharpness)
        if len(points) == _WINDOW:
            yield indices, np.array(points), sharpness
            indices, points, sharpness = [], [], []
    if points:
        yield indices, np.array(points), sharpness


def _usual(sharp: np.ndarray, step_s: float) -> np.ndarray:
    """``[n]`` median sharpness around each frame; infinite where there is none."""
    reach = max(2, round(_AROUND_S / step_s))
    padded = np.pad(sharp, reach, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    usual = np.full(len(sharp), np.inf)
    some = np.isfinite(around).any(1)
    usual[some] = np.nanmedian(around[some], axis=1)
    return usual
