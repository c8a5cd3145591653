"""Moves the torso of the still picture over the background behind it, a row at a time.

OpenCV's cubic warp of a torso takes 3.8 ms of CPU per 512² frame, more than the whole composition;
a bilinear one is quicker but blurs cloth at half pixels and sharpens it again at whole ones, which
shimmers. Here a row is shifted downwards and then to the side by cubic weights, each in vectors.
The readable twin is in ``tests/unit/compose/test_torso.py``.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from talkcli.compose.over import flat_image
from talkcli.imaging import smoothstep
from talkcli.kernels.jit import helper, kernel
from talkcli.kernels.memory import load, store
from talkcli.kernels.simd import LANES, lane_numbers, largest, maximum, minimum
from talkcli.shapes import Float, Float32, UInt8

#: Bodies move by less, and lean by less further out; the background is filled as far behind them.
REACH_FH = 0.2
#: Over this length (face heights) the motion sideways fades to none at sides of the picture that
#: cut the torso; at the lower edge, where the neck may be near, the torso is mirrored instead.
_FADE_FH = 0.3
_ZERO, _ONE, _HALF, _LEVELS = np.float32(0), np.float32(1), np.float32(0.5), np.float32(255)
#: Coverage below which a straight colour would be lost in rounding.
_FAINT = np.float32(1e-4)
#: Coverage that shows in no picture.
_LEAST = 1 / 512
#: Levels by which a picture and its bytes may differ.
_ROUNDING = 0.75


class MovedTorso:
    """A torso cut out of a still picture, to be drawn where its body has moved.

    Args:
        still: ``[h, w, 3]`` float32 0–1 picture, or ``[h, w, 4]`` premultiplied with its alpha.
        cover: ``[h, w]`` float32 0–1 coverage of the torso.
        behind: ``[h, w, 3]`` uint8 background behind it; None if transparent.
        face_height: in pixels; a torso moves by up to ``REACH_FH`` of it.
    """

    def __init__(
        self,
        still: Float[np.ndarray, "h w c"],
        cover: Float[np.ndarray, "h w"],
        behind: UInt8[np.ndarray, "h w 3"] | None,
        face_height: float,
    ) -> None:
        height, width = cover.shape
        self._reach = max(1, int(np.ceil(REACH_FH * face_height)))
        covered = cover > _LEAST
        if behind is not None:
            # What the background lacks of the picture goes with the torso: light and noise.
            covered |= np.abs(still * 255 - behind).max(2) > _ROUNDING
        rows = np.flatnonzero(covered.any(1))
        # A row more, which is free of it: above the layer, its first row counts.
        first = max(0, int(rows[0]) - 1) if len(rows) else height
        self._top = max(0, first - self._reach)
        cover, visible = np.where(covered, cover, 0)[first:], covered[first:, :, None]
        solid = still[first:, :, :3]
        if behind is not None:
            # What is left of the picture without the background: adding it gives the picture.
            solid = solid - behind[first:] * ((1 - cover) / 255)[..., None]
        self._margin = self._reach + LANES
        # A row's colours and coverage in planes, each with a margin that may be read.
        self._layer = np.zeros((height - first, 4, width + 2 * self._margin), np.float32)
        inner = self._layer[:, :, self._margin : self._margin + width]
        inner[:, :3] = (solid * visible).transpose(0, 2, 1)
        inner[:, 3] = cover
        self._first = first
        self._behind = np.zeros(0, np.uint8) if behind is None else behind.reshape(-1)
        self._spans = _spans(covered, self._top, self._reach + 2)
        # Vectors are read beyond its end.
        self._aside = np.pad(_side_fade(covered, _FADE_FH * face_height), (0, LANES))
        self._scratch = np.zeros(10 * self._layer.shape[2], np.float32)

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns that bound what is drawn."""
        used = self._spans[self._spans[:, 1] > self._spans[:, 0]]
        if not len(used):
            return np.s_[0:0, 0:0]
        return np.s_[
            self._top : self._top + len(self._spans), int(used[:, 0].min()) : int(used[:, 1].max())
        ]

    def draw(self, affine: Float[np.ndarray, "2 3"], out: UInt8[np.ndarray, "h w c"]) -> None:
        """Write the pixels that the torso may cover, with the background where it does not.

        Args:
            affine: the body's motion, in pixels of the picture whose first has its centre at .5.
            out: ``[h, w, 3]`` or, for a transparent background, ``[h, w, 4]`` straight; rows may
                lie apart.
        """
        inverse = cv2.invertAffineTransform(np.asarray(affine, np.float64))
        # By how much the place that a pixel is taken from differs from the pixel's own.
        inverse[:, 2] += 0.5 * inverse[:, :2].sum(1) - 0.5
        inverse[0, 0] -= 1
        inverse[1, 1] -= 1
        _draw(
            self._layer.reshape(-1), self._behind, flat_image(out), self._spans,
            self._aside, inverse.astype(np.float32).reshape(-1),
            (self._layer.shape[2], self._margin, self._reach, self._top, self._first,
             out.shape[1], out.shape[2], out.strides[0]), self._scratch,
        )  # fmt: skip


def _spans(covered: np.ndarray, top: int, reach: int) -> np.ndarray:
    """``[h - top, 2]`` the columns of each row that a torso may cover once it has moved."""
    size = 2 * reach + 1
    near = cv2.dilate(covered.astype(np.uint8), np.ones((size, size), np.uint8))[top:] > 0
    first = near.argmax(1)
    last = near.shape[1] - near[:, ::-1].argmax(1)
    spans = np.where(near.any(1)[:, None], np.column_stack([first, last]), 0)
    return np.ascontiguousarray(spans, np.int64)


def _side_fade(covered: np.ndarray, length: float) -> Float32[np.ndarray, " w"]:
    """``[w]`` factor on the motion sideways: 0 at sides of the picture that cut the torso."""
    x = np.arange(covered.shape[1], dtype=np.float32)
    left = x if covered[:, 0].any() else np.full_like(x, length)
    right = x[::-1] if covered[:, -1].any() else np.full_like(x, length)
    return smoothstep(np.minimum(left, right) / length).astype(np.float32)


@helper
def _weights(t: Any) -> Any:
    """Catmull-Rom weights of four neighbours at sixteen fractions of the way to the third."""
    s = 1.0 - t
    half = -0.5 * t * s
    return half * s, s * (1.0 + t - 1.5 * t * t), t * (1.0 + s - 1.5 * s * s), half * t


@helper
def _piece(shift: Any, start: int, stop: int) -> Any:
    """The whole part of ``shift`` at ``start``, and how far it stays the same."""
    whole = np.floor(shift[start])
    end = start + 1
    while end + LANES <= stop:
        part = load(shift, end) - whole
        if largest(-part) > _ZERO or largest(part) >= _ONE:
            break
        end += LANES
    while end < stop and np.floor(shift[end]) == whole:
        end += 1
    return int(whole), end


@helper
def _mix(source: Any, places: Any, plane: int, line: Any, place: int, weights: Any) -> None:
    """Sixteen pixels of each of four planes."""
    a, b, c, d = places
    w0, w1, w2, w3 = weights
    for _ in range(4):
        mixed = w0 * load(source, a) + w1 * load(source, b)
        store(line, place, mixed + w2 * load(source, c) + w3 * load(source, d))
        a, b, c, d, place = a + plane, b + plane, c + plane, d + plane, place + plane


@helper
def _mirrored(row: int, rows: int) -> int:
    """The row that stands for one below the last: what a torso uncovers where it is cut off."""
    return min(max(min(row, 2 * (rows - 1) - row), 0), rows - 1)


@helper
def _down(layer: Any, rows: int, plane: int, shift: Any, span: Any, line: Any) -> None:
    """Set a line to what lies in the layer's row ``shift``, which differs by column.

    Args:
        layer: rows of four planes.
        rows: how many.
        plane: length of a plane.
        shift: wanted rows, for each column of a plane.
        span: first and last column, and how far the line goes on beyond them with its ends.
        line: four planes.
    """
    x, stop, beyond = span
    while x < stop:
        whole, end = _piece(shift, x, stop)
        r0, r1 = _mirrored(whole - 1, rows), _mirrored(whole, rows)
        r2, r3 = _mirrored(whole + 1, rows), _mirrored(whole + 2, rows)
        # What is written beyond the end is overwritten by the next piece.
        for i in range(x, end, LANES):
            weights = _weights(load(shift, i) - np.float32(whole))
            places = (
                r0 * 4 * plane + i, r1 * 4 * plane + i, r2 * 4 * plane + i, r3 * 4 * plane + i
            )  # fmt: skip
            _mix(layer, places, plane, line, i, weights)
        x = end
    first = span[0]
    for c in range(4):
        for k in range(beyond):
            line[c * plane + first - 1 - k] = line[c * plane + first]
            line[c * plane + stop + k] = line[c * plane + stop - 1]


@helper
def _sideways(line: Any, plane: int, shift: Any, span: Any, moved: Any) -> None:
    """Shift a line to the side by an amount that differs by column."""
    x, stop = span
    while x < stop:
        whole, end = _piece(shift, x, stop)
        for i in range(x, end, LANES):
            weights = _weights(load(shift, i) - np.float32(whole))
            a = i + whole
            _mix(line, (a - 1, a, a + 1, a + 2), plane, moved, i, weights)
        x = end


@helper
def _to_byte(value: Any) -> Any:
    return np.uint8(np.int32(min(max(value, _ZERO), _ONE) * _LEVELS + _HALF))


@helper
def _store(moved: Any, plane: int, start: int, behind: Any, out: Any) -> None:
    """A row over the background; ``behind`` and ``out`` are as long as what is stored."""
    red, green, blue = moved[start:], moved[plane + start :], moved[2 * plane + start :]
    cover = moved[3 * plane + start :]
    for x in range(len(out) // 3):
        through = (_ONE - cover[x]) / _LEVELS
        out[3 * x] = _to_byte(red[x] + behind[3 * x] * through)
        out[3 * x + 1] = _to_byte(green[x] + behind[3 * x + 1] * through)
        out[3 * x + 2] = _to_byte(blue[x] + behind[3 * x + 2] * through)


@helper
def _store_transparent(moved: Any, plane: int, start: int, out: Any) -> None:
    for x in range(len(out) // 4):
        cover = moved[3 * plane + start + x]
        out[4 * x + 3] = _to_byte(cover)
        straight = _ONE / max(cover, _FAINT)
        for c in range(3):
            out[4 * x + c] = _to_byte(moved[c * plane + start + x] * straight)


@kernel
def _draw(
    layer: Any, behind: Any, out: Any, spans: Any, aside: Any, inverse: Any, where: Any,
    scratch: Any,
) -> None:  # fmt: skip
    plane, margin, reach, top, first, width, channels, pitch = where
    rows = len(layer) // (4 * plane)
    line, moved = scratch[: 4 * plane], scratch[4 * plane : 8 * plane]
    shift, rows_down = scratch[8 * plane : 9 * plane], scratch[9 * plane :]
    most = np.float32(reach)
    for row in range(len(spans)):
        start, stop = spans[row]
        if stop <= start:
            continue
        y = top + row
        height = np.float32(y)
        aside_at, down_at = inverse[2] + inverse[1] * height, inverse[5] + inverse[4] * height
        for x in range(start, stop, LANES):
            column = lane_numbers() + np.float32(x)
            sideways = load(aside, x) * (column * inverse[0] + aside_at)
            sideways = minimum(maximum(sideways, -most), most)
            store(shift, margin + x, sideways)
            # A column is shifted down first, by as much as where it comes to lie then.
            wanted = minimum(maximum((column - sideways) * inverse[3] + down_at, -most), most)
            store(rows_down, margin + x, wanted + (height - np.float32(first)))
        span = (margin + start, margin + stop, reach + 3)
        _down(layer, rows, plane, rows_down, span, line)
        _sideways(line, plane, shift, span[:2], moved)
        begin, end = y * pitch + channels * start, y * pitch + channels * stop
        if channels == 4:
            _store_transparent(moved, plane, margin + start, out[begin:end])
        else:
            ground = behind[3 * (y * width + start) : 3 * (y * width + stop)]
            _store(moved, plane, margin + start, ground, out[begin:end])
