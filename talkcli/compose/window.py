"""The head's square crop, as seen from the output picture."""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.avatar import PictureFrame
from talkcli.compose.shrink import HeadShrinker
from talkcli.imaging import smoothstep

#: Pixels by which the output's size may differ and still share the crop's pixel grid.
_SNAP_PX = 1.5


class CropWindow:
    """Converts images of the crop to output pixels.

    An avatar is built for the output's resolution, so that crop pixels are output pixels and images
    are only cut. At other sizes they are resampled.

    Args:
        place: the crop's place in the picture.
        pixels: side of crop images.
        picture: width and height of the picture.
        output: width and height of the output.

    Attributes:
        box: x0, y0, x1, y1 of the crop's part of the output; empty if the crop lies outside.
        exact: whether crop pixels are output pixels.
    """

    def __init__(
        self, place: PictureFrame, pixels: int, picture: tuple[int, int], output: tuple[int, int]
    ) -> None:
        ratio = pixels / place.crop_side
        self.exact = all(
            abs(p * ratio - o) <= _SNAP_PX for p, o in zip(picture, output, strict=True)
        )
        scale = [o / p for p, o in zip(picture, output, strict=True)]
        # Whole pixels: the crop's content may be up to half a pixel off its surroundings.
        self._corner = round(place.crop_x * scale[0]), round(place.crop_y * scale[1])
        self._pixels = pixels
        self._size = (pixels, pixels)
        if not self.exact:
            wide, high = (max(1, round(place.crop_side * s)) for s in scale)
            self._size = (wide, high)
        low = [min(o, max(0, c)) for o, c in zip(output, self._corner, strict=True)]
        ends = [c + s for c, s in zip(self._corner, self._size, strict=True)]
        high_ends = [max(a, min(o, e)) for a, o, e in zip(low, output, ends, strict=True)]
        self.box = (low[0], low[1], high_ends[0], high_ends[1])
        self._output = output
        self._shrinker: HeadShrinker | None = None

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Cut out the box's part of a crop image.

        Args:
            image: ``[S, S]`` or ``[S, S, C]`` float32.

        Returns:
            ``[h, w]`` or ``[h, w, C]`` float32 in output pixels; a view of ``image`` where crop
            pixels are output pixels. Never below zero when resampled.
        """
        if not self.exact:
            shrink = self._size[0] < image.shape[1]
            method = cv2.INTER_AREA if shrink else cv2.INTER_CUBIC
            image = cv2.resize(image, self._size, interpolation=method)
            if not shrink:
                image = np.maximum(image, 0)  # cubic weights dip below zero at hard edges
        return self._boxed(image)

    def cut_head(self, rgb: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`cut`, for a rendered head.

        Args:
            rgb: ``[S, S, 3]`` contiguous float32, premultiplied by ``alpha``.
            alpha: ``[S, S]`` contiguous float32 coverage.

        Returns:
            ``[h, w, 3]`` and ``[h, w]`` float32. They last until the next call; colours are only
            set where there is coverage.
        """
        side = len(alpha)
        # OpenCV has a faster way, which adds in another order, for sizes that divide the crop's.
        if self.exact or max(self._size) > side or not any(side % n for n in self._size):
            return self.cut(rgb), self.cut(alpha)
        if self._shrinker is None:
            self._shrinker = HeadShrinker(side, self._size)
        small, cover = self._shrinker(rgb, alpha)
        return self._boxed(small), self._boxed(cover)

    def _boxed(self, image: np.ndarray) -> np.ndarray:
        x0, y0, x1, y1 = self.box
        left, top = x0 - self._corner[0], y0 - self._corner[1]
        return image[top : top + y1 - y0, left : left + x1 - x0]

    def in_output(self, affine: np.ndarray) -> np.ndarray:
        """The same motion of the plane for pixels of the output.

        Args:
            affine: ``[2, 3]`` for pixels of crop images; the first has its centre at .5.
        """
        scale = np.array(self._size) / self._pixels
        linear = scale[:, None] * affine[:, :2] / scale
        offset = scale * affine[:, 2] + self._corner
        return np.column_stack([linear, offset - linear @ self._corner])

    def intrinsics(self, K: np.ndarray) -> np.ndarray:
        """``[3, 3]`` the intrinsics ``K`` of the crop's camera, for pixels of the output."""
        scale = np.array([*self._size, self._pixels]) / self._pixels
        moved = scale[:, None] * K
        moved[:2, 2] += self._corner
        return moved

    def ramp(self, margin: float) -> np.ndarray:
        """``[h, w]`` float32 over the box: 0 at its border, 1 from ``margin`` pixels inwards.

        Sides of the box that lie on the output's border do not count.
        """
        x0, y0, x1, y1 = self.box
        w, h = self._output
        far = np.float32(2 * margin)
        x, y = np.arange(x1 - x0, dtype=np.float32), np.arange(y1 - y0, dtype=np.float32)
        dx = np.minimum(x if x0 else far, x[::-1] if x1 < w else far) + np.zeros_like(x)
        dy = np.minimum(y if y0 else far, y[::-1] if y1 < h else far) + np.zeros_like(y)
        return smoothstep(np.minimum(dx, dy[:, None]) / np.float32(margin)).astype(np.float32)
