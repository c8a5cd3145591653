"""Puts the rendered head back into its picture, frame by frame.

Blending is done on sRGB-encoded values, as among the renderer's splats, so that the rim of the head
looks as in the source picture, whose hair edges are encoded values as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from talkcli.avatar import Backdrop
from talkcli.compose.color import named_color
from talkcli.compose.over import composite_over
from talkcli.compose.torso import MovedTorso
from talkcli.compose.window import CropWindow
from talkcli.errors import UsageError
from talkcli.imaging import EDGE_FADE, over_white
from talkcli.layers.colors import split_layers
from talkcli.render.solid import solidify
from talkcli.tracking.landmarks import CROP_SIDE_FH

_LONGEST_PX = 1024  # default for the output's longest side
_FEATHER_PX = 6.0  # width at the crop's border over which the plate fades into the picture
#: Light that may go with a torso beyond its coverage, and what counts as hiding all behind it.
_REST, _OPAQUE = 0.02, 0.05
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
        still = self._still_picture(backdrop)
        cover = None if backdrop.torso is None else self._fitted(backdrop.torso) / np.float32(255)
        behind = self._behind(still, cover, backdrop.behind) if moving else None
        if bg not in ("keep", "plate"):
            still, behind = self._over_background(still, cover, bg)
        self._still = _to_bytes(still)
        self._torso: MovedTorso | None = None
        if moving and cover is not None and backdrop.behind is not None:
            face = backdrop.frame.crop_side / CROP_SIDE_FH * self.width / w
            self._torso = MovedTorso(still, cover, behind, face)

    def canvas(self, pixels: np.ndarray | None = None) -> Canvas:
        """Memory to draw frames on one after the other, with the still picture in it.

        Args:
            pixels: ``[height, width, 3 or 4]`` uint8 to draw on, which may be part of a larger
                picture; None for a new array.
        """
        if pixels is None:
            return Canvas(self._still.copy(), still=self._still)
        pixels[:] = self._still
        return Canvas(pixels, still=self._still)

    def frame(
        self,
        rgb: np.ndarray,
        alpha: np.ndarray,
        canvas: Canvas | None = None,
        *,
        dense: bool = False,
        body: np.ndarray | None = None,
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

        Returns:
            ``[height, width, 3]`` uint8, or ``[height, width, 4]`` with straight alpha for a
            transparent background.
        """
        canvas = canvas or self.canvas()
        result = canvas.pixels
        if canvas.still is self._still:
            result[canvas.drawn] = self._still[canvas.drawn]
        else:
            # The canvas was last used with another backdrop.
            result[:] = self._still
            canvas.still = self._still
        canvas.drawn = _NOWHERE
        if body is not None and self._torso is not None:
            canvas.drawn = self._torso.box
            self._torso.draw(self._window.in_output(body), result)
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

    def _still_picture(self, backdrop: Backdrop) -> np.ndarray:
        """The picture with the plate in it, ``[height, width, 3]`` float32 0–1."""
        picture = _fit(_on_ground(backdrop.source), self.width, self.height)
        plate = backdrop.plate.astype(np.float32)
        if backdrop.plate.dtype == np.uint8:
            plate /= 255
        x0, y0, x1, y1 = self._window.box
        part = picture[y0:y1, x0:x1]
        part += (self._window.cut(plate) - part) * self._window.ramp(_FEATHER_PX)[..., None]
        return np.clip(picture, 0, 1)

    def _over_background(
        self, still: np.ndarray, cover: np.ndarray | None, bg: str
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The torso alone, over a new background or premultiplied with its alpha.

        Returns:
            The picture, and the background as bytes; None if transparent.
        """
        ground = None if self.transparent else _ground(bg, self.width, self.height)
        if cover is None:
            raise UsageError(
                f"this avatar was built without the torso's outline that --bg {bg} needs",
                "build it again from its picture",
            )
        colors, _ = split_layers(still, cover)  # removes the old background from the rim
        if ground is None:
            return np.dstack([colors * cover[..., None], cover]), None
        return ground + (colors - ground) * cover[..., None], _to_bytes(ground)

    def _behind(
        self, still: np.ndarray, cover: np.ndarray | None, fill: np.ndarray | None
    ) -> np.ndarray | None:
        """The still picture without the torso's rim, ``[height, width, 3]`` uint8.

        A fill may be wrong. Where the torso would need colours that it cannot have to make up for
        it, the background is what is left of the picture instead.
        """
        if cover is None or fill is None:
            return None
        fill = self._fitted(fill).astype(np.float32) / 255
        behind = still + (fill[..., :3] - still) * fill[..., 3:]
        through = 1 - cover[..., None]
        torso = np.clip(still - through * behind, -_REST, 1 - through + _REST)
        left = np.clip((still - torso) / np.maximum(through, _OPAQUE), 0, 1)
        return _to_bytes(np.where(through > _OPAQUE, left, behind))

    def _fitted(self, image: np.ndarray) -> np.ndarray:
        return _fit(image, self.width, self.height)


def _ground(bg: str, width: int, height: int) -> np.ndarray:
    """A colour or a picture that fills the frame, ``[height, width, 3]`` float32 0–1."""
    if color := named_color(bg):
        return np.full((height, width, 3), [level / 255 for level in color], np.float32)
    from talkcli.media.image import read_image

    picture = read_image(bg)
    scale = max(width / picture.shape[1], height / picture.shape[0])
    # Only what shows is enlarged: a strip of 1 x 32,000 would fill the memory.
    across, down = max(1, round(width / scale)), max(1, round(height / scale))
    left, top = (picture.shape[1] - across) // 2, (picture.shape[0] - down) // 2
    shown = over_white(picture[top : top + down, left : left + across])
    return _fit(shown, width, height).astype(np.float32) / 255


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


def _on_ground(picture: np.ndarray) -> np.ndarray:
    """Convert RGBA bytes to ``[H, W, 3]`` float32 0–1, white where transparent."""
    return over_white(picture).astype(np.float32) / 255


def _fit(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize an image, into a new array."""
    if image.shape[:2] == (height, width):
        return image.copy()
    shrink = height * width < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrink else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=method)


def _to_bytes(image: np.ndarray) -> np.ndarray:
    """Convert floats 0–1 to bytes; four channels are premultiplied and become straight alpha."""
    if image.shape[2] == 4:
        alpha = image[..., 3:]
        image = np.concatenate([image[..., :3] / np.maximum(alpha, 1e-4), alpha], 2)
    return cv2.convertScaleAbs(np.maximum(image, 0), alpha=255)
