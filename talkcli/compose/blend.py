"""Puts the rendered head back into its picture, frame by frame.

Blending is done on sRGB-encoded values, as among the renderer's splats, so that the rim of the head
looks as in the source picture, whose hair edges are encoded values as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from talkcli.avatar import Backdrop
from talkcli.compose.ground import Grounds
from talkcli.compose.over import composite_over
from talkcli.compose.window import CropWindow
from talkcli.imaging import EDGE_FADE
from talkcli.render.solid import solidify

_LONGEST_PX = 1024  # default for the output's longest side
_NOWHERE = np.s_[0:0, 0:0]


def output_size(width: int, height: int, longest: int | None = None) -> tuple[int, int]:
    """Even width and height for a picture; the longest side as requested, or else at most 1024."""
    scale = (longest or min(_LONGEST_PX, max(width, height))) / max(width, height)
    return max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2))


@dataclass
class Canvas:
    """The pixels of a frame, and where they differ from the still picture.

    Attributes:
        pixels: ``[height, width, 3 or 4]`` uint8.
        drawn: rows and columns of the last head.
        still: the still picture shown elsewhere.
    """

    pixels: np.ndarray
    drawn: tuple[slice, slice] = _NOWHERE
    still: np.ndarray | None = None


class Compositor:
    """Lays rendered heads over the still parts of their picture.

    Pixels that a head does not touch come from one still picture made at the start, so they are
    the same, bit for bit, in every frame.

    Args:
        backdrop: picture, plate, the crop's place, and the torso's matte for other backgrounds.
        bg: ``keep`` or ``plate`` for the picture's own background, with the plate where the head
            was; ``transparent`` for none, in frames with four channels; a colour, ``#rrggbb`` or
            ``red``; or the path of a picture, scaled to cover the frame and cut to its shape.
        size: longest side of a frame in pixels; by default the picture's, at most 1024.
        moving: whether the torso will move in any frame; it needs the background behind it.

    Attributes:
        width: width of a frame in pixels, even.
        height: height of a frame in pixels, even.
        transparent: whether frames have an alpha channel.

    Raises:
        UsageError: the background is not a colour, or is a new background for an avatar without
            a torso matte.
        InputError: the background picture cannot be read.
    """

    def __init__(
        self,
        backdrop: Backdrop,
        *,
        bg: str = "keep",
        size: int | None = None,
        moving: bool = False,
    ) -> None:
        h, w = backdrop.source.shape[:2]
        self.width, self.height = output_size(w, h, size)
        self.transparent = bg == "transparent"
        pixels = backdrop.plate.shape[0]
        self._window = CropWindow(backdrop.frame, pixels, (w, h), (self.width, self.height))
        left, _, right, _ = self._window.box
        margin = max(1.0, EDGE_FADE * (right - left))
        self._fade = np.ascontiguousarray(self._window.ramp(margin))
        self._grounds = Grounds(backdrop, self._window, (self.width, self.height), bg, moving)

    def canvas(self, pixels: np.ndarray | None = None) -> Canvas:
        """Memory to draw frames on one after the other, with the still picture in it.

        Args:
            pixels: ``[height, width, 3 or 4]`` uint8 to draw on, which may be part of a larger
                picture; None for a new array.
        """
        still = self._grounds.front.still
        if pixels is None:
            return Canvas(still.copy(), still=still)
        pixels[:] = still
        return Canvas(pixels, still=still)

    def frame(
        self,
        rgb: np.ndarray,
        alpha: np.ndarray,
        canvas: Canvas | None = None,
        *,
        dense: bool = False,
        body: np.ndarray | None = None,
        orbit_deg: float = 0.0,
    ) -> np.ndarray:
        """Draw one finished frame.

        Args:
            rgb: ``[S, S, 3]`` float32, the head, premultiplied by its coverage, in the crop that
                the plate shows.
            alpha: ``[S, S]`` or ``[S, S, 1]`` float32 coverage, 0–1.
            canvas: from :meth:`canvas`, to draw on; only the boxes of its last head and of this
                one are written. None for a new array.
            dense: count dense coverage as full, as videos do; the head is then changed. See
                :mod:`talkcli.render.solid`.
            body: ``[2, 3]`` how the torso has moved, in pixels of the crop, see
                :mod:`talkcli.compose.body`; None for not at all.
            orbit_deg: how far the camera that saw the head has gone around the person.

        Returns:
            ``[height, width, 3]`` uint8, or ``[height, width, 4]`` with straight alpha for a
            transparent background.
        """
        canvas = canvas or self.canvas()
        result, ground = canvas.pixels, self._grounds.at(orbit_deg)
        if canvas.still is ground.still:
            result[canvas.drawn] = ground.still[canvas.drawn]
        else:
            # The canvas was last used with another backdrop, or from another side.
            result[:] = ground.still
            canvas.still = ground.still
        canvas.drawn = _NOWHERE
        if body is not None and ground.torso is not None:
            canvas.drawn = ground.torso.box
            ground.torso.draw(self._window.in_output(body), result)
        x0, y0, x1, y1 = self._window.box
        rgb = np.ascontiguousarray(rgb, np.float32)
        alpha = np.ascontiguousarray(alpha, np.float32).reshape(alpha.shape[:2])
        if dense and not self._window.exact:
            solidify(rgb, alpha)
            dense = False
        color, cover = self._window.cut_head(rgb, alpha)
        part = result[y0:y1, x0:x1]
        rows, columns = composite_over(color, cover, self._fade, part, dense=dense)
        head = (
            slice(y0 + rows.start, y0 + rows.stop),
            slice(x0 + columns.start, x0 + columns.stop),
        )
        canvas.drawn = _around(canvas.drawn, head)
        return result

    def strip(self, heads: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """Several (rgb, alpha) heads, each in its own frame, side by side in one picture."""
        return np.concatenate([self.frame(rgb, alpha) for rgb, alpha in heads], 1)


def _around(first: tuple[slice, slice], second: tuple[slice, slice]) -> tuple[slice, slice]:
    """The box around two, either of which may be empty."""
    boxes = [box for box in (first, second) if box[0].stop > box[0].start]
    if not boxes:
        return _NOWHERE
    rows, columns = zip(*boxes, strict=True)
    return (
        slice(min(s.start for s in rows), max(s.stop for s in rows)),
        slice(min(s.start for s in columns), max(s.stop for s in columns)),
    )
