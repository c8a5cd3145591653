"""Differences between pictures: PSNR and SSIM, as scikit-image defines them.

PSNR is that of the three sRGB channels. SSIM is that of the luma, with the Gaussian window of Wang,
Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
similarity", 2004: its map is made over the whole picture and averaged inside the region.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import EllipsisType

import cv2
import numpy as np

from talkcli.metrics.pair import FramePair
from talkcli.metrics.result import FrameValues, Metric
from talkcli.shapes import Bool, Float32, Real

#: PSNR of equal pictures, dB. Two pictures of 8 bits that differ at all stay far below.
CEILING_DB = 120.0
_NO_FACE = "no frame shows a face"
#: Rows to either side that SSIM at a pixel depends on (a window of 11), and the fewest that a half
#: of a picture has to be worth a thread.
_REACH, _FEWEST_ROWS = 5, 64


def psnr(
    picture: Real[np.ndarray, "h w 3"],
    wanted: Real[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"] | EllipsisType,
) -> float:
    """Peak signal-to-noise ratio in dB inside a mask, at most :data:`CEILING_DB`.

    Args:
        picture: 0–255.
        wanted: the reference, 0–255.
        mask: which pixels count; ``...`` for all.
    """
    from skimage.metrics import peak_signal_noise_ratio

    if not isinstance(mask, EllipsisType):
        # Only the part around the mask is searched for its pixels.
        x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
        part = slice(y, y + height), slice(x, x + width)
        inside = np.flatnonzero(mask[part])
        # A third of the time of an index by the mask itself.
        picture, wanted = (
            np.ascontiguousarray(pixels[part]).reshape(-1, 3).take(inside, 0)
            for pixels in (picture, wanted)
        )
    # Flat arrays of float32 take a quarter of the time of pictures.
    flat, reference = (pixels.ravel().astype(np.float32) for pixels in (picture, wanted))
    # Equal pictures have an infinite ratio.
    with np.errstate(divide="ignore"):
        found = peak_signal_noise_ratio(reference, flat, data_range=255.0)
    return float(min(found, CEILING_DB))


def ssim_map(
    picture: Float32[np.ndarray, "h w"], wanted: Float32[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w"]:
    """Structural similarity around every pixel.

    Args:
        picture: luma, 0–255; sides of at least 11 pixels.
        wanted: luma of the reference.
    """
    from skimage.metrics import structural_similarity

    _, similarity = structural_similarity(
        wanted,
        picture,
        data_range=255.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return np.asarray(similarity, np.float32)


class _ByRegion:
    """One figure in some regions and in the whole frame."""

    def __init__(self, name: str, label: str, unit: str, regions: Sequence[str]) -> None:
        self._values = {
            region: FrameValues(f"{name}_{region}", label, unit, "higher", region)
            for region in (*regions, "frame")
        }

    def _take(self, pair: FramePair, measure: Callable[[np.ndarray | EllipsisType], float]) -> None:
        for region, values in self._values.items():
            if region == "frame":
                values.add(measure(...))
                continue
            mask = pair.regions.get(region)
            values.add(None if mask is None or not mask.any() else measure(mask))

    def finish(self) -> list[Metric]:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        return [values.metric(_NO_FACE) for values in self._values.values()]


class PsnrScores(_ByRegion):
    """PSNR of every pair, in the face, its mouth and cheeks, the head and the whole frame."""

    def __init__(self) -> None:
        super().__init__("psnr", "PSNR", "dB", ("face", "mouth", "cheeks", "head"))

    def add(self, pair: FramePair) -> None:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        self._take(pair, lambda mask: psnr(pair.made, pair.real, mask))


class SsimScores(_ByRegion):
    """SSIM of every pair, in the face, the head and the whole frame."""

    def __init__(self) -> None:
        super().__init__("ssim", "SSIM", "", ("face", "head"))
        # It takes two thirds of the time of all metrics, so the lower half goes to another core.
        self._second = ThreadPoolExecutor(1, "talkcli-ssim")

    def add(self, pair: FramePair) -> None:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        similarity = self._map(pair.made_luma, pair.real_luma)
        self._take(pair, lambda mask: float(similarity[mask].mean()))

    def finish(self) -> list[Metric]:
        """See :class:`talkcli.metrics.pair.PairMetric`."""
        self._second.shutdown()
        return super().finish()

    def _map(
        self, made: Float32[np.ndarray, "h w"], real: Float32[np.ndarray, "h w"]
    ) -> Float32[np.ndarray, "h w"]:
        """:func:`ssim_map` by two threads, the same bits."""
        half = len(made) // 2
        if half < _FEWEST_ROWS:
            return ssim_map(made, real)
        begin, end = half - _REACH, half + _REACH
        lower = self._second.submit(ssim_map, made[begin:], real[begin:])
        upper = ssim_map(made[:end], real[:end])[:half]
        return np.concatenate([upper, lower.result()[_REACH:]])
