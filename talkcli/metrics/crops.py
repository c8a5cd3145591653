"""The head in both pictures of a pair, as networks that judge pictures take it."""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.metrics.pair import FramePair
from talkcli.metrics.result import Metric
from talkcli.shapes import UInt8

#: Side of the picture that networks see, pixels: faces of papers are 256 or 512 pixels wide.
SIDE = 256
#: Networks see every tenth frame: neighbours are alike, and each costs half a second of CPU.
EVERY = 10
#: What the figures are, wherever they stand.
NOTE = f"head at {SIDE} px, every {EVERY}th frame"

#: Rows of the perceptual distances, without their values.
ST_LPIPS = Metric("st_lpips", "ST-LPIPS (AlexNet; not LPIPS)", None, "", "lower", "head")
LPIPS = Metric("lpips", "LPIPS (AlexNet)", None, "", "lower", "head")
FID = Metric("fid", "FID (Inception)", None, "", "lower", "head")


class Unavailable:
    """Stands for a metric that cannot be measured here; its rows say why.

    Args:
        rows: the rows of the metric, without a value.
        why: what is missing, and the command that installs it.
    """

    def __init__(self, rows: list[Metric], why: str) -> None:
        self._rows, self._why = rows, why

    def add(self, pair: FramePair) -> None:
        """See :class:`talkcli.metrics.pair.PairMetric`."""

    def finish(self) -> list[Metric]:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        return [row.with_note(self._why) for row in self._rows]


def head_squares(
    pair: FramePair,
) -> tuple[UInt8[np.ndarray, "side side 3"], UInt8[np.ndarray, "side side 3"]] | None:
    """The square around the real head in the made and in the real picture, :data:`SIDE` wide.

    Args:
        pair: both pictures.

    Returns:
        Made and real; None without a face, and for the frames that networks leave out.
    """
    head = pair.regions.get("head")
    if pair.index % EVERY or head is None or not head.any():
        return None
    rows, columns = np.flatnonzero(head.any(1)), np.flatnonzero(head.any(0))
    side = int(max(rows[-1] - rows[0], columns[-1] - columns[0])) + 1
    top = (int(rows[0]) + int(rows[-1]) + 1 - side) // 2
    left = (int(columns[0]) + int(columns[-1]) + 1 - side) // 2
    return _square(pair.made, top, left, side), _square(pair.real, top, left, side)


def _square(rgb: np.ndarray, top: int, left: int, side: int) -> np.ndarray:
    """A square of a picture at :data:`SIDE` pixels; the edge is continued beyond it."""
    height, width = rgb.shape[:2]
    part = rgb[max(0, top) : top + side, max(0, left) : left + side]
    beyond = (max(0, -top), max(0, top + side - height), max(0, -left), max(0, left + side - width))
    part = cv2.copyMakeBorder(part, *beyond, cv2.BORDER_REPLICATE)
    way = cv2.INTER_AREA if side > SIDE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, (SIDE, SIDE), interpolation=way))
