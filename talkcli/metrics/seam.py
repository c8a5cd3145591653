"""The seam: does brightness step across the outline of the head where it does not in reality?"""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.face.measures import face_height
from talkcli.metrics.pair import FramePair
from talkcli.metrics.result import FrameValues, Metric
from talkcli.shapes import Bool, Float, Float32

#: Width of the bands inside and outside of the outline, face heights.
_BAND = 0.06
_COARSE_PX = 4.0
#: Sectors around the head, whose steps are compared one by one.
_SECTORS = 24
#: Fewer pixels in a band of a sector than this tell nothing.
_FEWEST = 8


def steps(
    luma: Float32[np.ndarray, "h w"], head: Bool[np.ndarray, "h w"], band: float
) -> Float[np.ndarray, " sectors"]:
    """Mean brightness just inside less just outside of a mask, by sector around its centre.

    Args:
        luma: 0–255.
        head: the mask.
        band: width of the bands, pixels.

    Returns:
        ``[24]``, NaN where the outline leaves the picture.
    """
    mask = head.astype(np.uint8)
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3)
    y, x = np.nonzero((inside + outside) <= band)
    rows, columns = np.nonzero(head)
    angle = np.arctan2(y - rows.mean(), x - columns.mean())
    sector = ((angle / (2 * np.pi) + 0.5) * _SECTORS).astype(int) % _SECTORS
    is_inside = head[y, x]
    means = []
    for part in (is_inside, ~is_inside):
        count = np.bincount(sector[part], minlength=_SECTORS)
        total = np.bincount(sector[part], luma[y[part], x[part]], _SECTORS)
        means.append(np.where(count < _FEWEST, np.nan, total / np.maximum(count, 1)))
    return np.asarray(means[0] - means[1])


def _around(mask: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The part of a picture around a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (
        slice(max(0, rows[0] - margin), rows[-1] + margin + 1),
        slice(max(0, columns[0] - margin), columns[-1] + margin + 1),
    )


def _reduced(picture: np.ndarray, factor: int) -> np.ndarray:
    """A picture at a fraction of its size."""
    height, width = (max(1, side // factor) for side in picture.shape)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


class SeamError:
    """Root mean square difference of the steps across the head's outline, made against real."""

    def __init__(self) -> None:
        self._values = FrameValues("seam", "seam around the head", "levels", "lower")

    def add(self, pair: FramePair) -> None:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        head = pair.regions.get("head")
        if head is None or not head.any() or pair.real_points is None:
            self._values.add(None)
            return
        band = max(2.0, _BAND * float(face_height(pair.real_points)))
        window = _around(head, int(band) + 2)
        # Means over bands need no fine pixels.
        coarser = max(1, int(band / _COARSE_PX))
        made, real, mask = (
            _reduced(part[window], coarser)
            for part in (pair.made_luma, pair.real_luma, head.astype(np.float32))
        )
        inside = mask > 0.5
        if not inside.any():
            self._values.add(None)
            return
        differ = steps(made, inside, band / coarser) - steps(real, inside, band / coarser)
        seen = differ[np.isfinite(differ)]
        self._values.add(float(np.sqrt((seen**2).mean())) if len(seen) else None)

    def finish(self) -> list[Metric]:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        return [self._values.metric("no frame shows a face")]
