"""The torso of a picture as a camera sees it that has gone around the person.

The torso is a sheet with the depth of :mod:`talkcli.layers.relief`, drawn by its mesh. Behind its
outline the surface goes on around the back, in the colours that lie as far inside the outline; past
the edges of the picture it goes on as mirrored there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from talkcli.avatar import Stance
from talkcli.compose.mesh import sheet_places
from talkcli.face.pose import NECK_PIVOT, orbit_matrix
from talkcli.imaging import disc, smoothstep
from talkcli.layers.relief import body_relief
from talkcli.shapes import Bool, Float, Float32

#: Nodes of the mesh per face height; between them, places are interpolated.
_NODES_FH = 56
#: How far the torso goes on past edges of the picture that cut it, of its width and its height:
#: at 45°, what is seen of them. The width of folds, face heights.
_BESIDE, _BELOW, _FOLD_FH = 0.35, 0.25, 0.2
#: Radius by which the surface bends around behind the outline, and its length there, cm.
_BACK_CM, _BACK_LENGTH_CM = 3.5, 5.5
#: The back begins this far inside the outline and behind the surface, cm.
_RIM_CM, _BEHIND_CM = 0.5, 0.2
#: There is no back within this distance of the head, cm, where hair hangs down: further aside than
#: a neck is wide. Points of less weight are neck.
_HEAD_CM, _NECK_CM, _NECK_WEIGHT = 4.0, 8.5, 0.6
#: A nape begins this far above the head's lower rim and ends this far below it, cm, wider by this
#: share.
_NAPE_ABOVE_CM, _NAPE_BELOW_CM, _NAPE_FLARE = 1.0, 12.0, 0.5
#: Steepest slope of a shoulder that goes on past the edge of the picture.
_STEEPEST = 1.0


@dataclass(frozen=True)
class Sheet:
    """A mesh in front of the source's camera.

    Attributes:
        points: ``[n, m, 3]`` in the camera's axes, cm.
        places: ``[n, m, 2]`` what each node shows, pixels, whole at their centres.
        cells: ``[n - 1, m - 1]`` the cells that are drawn.
    """

    points: Float32[np.ndarray, "n m 3"]
    places: Float32[np.ndarray, "n m 2"]
    cells: Bool[np.ndarray, "n1 m1"]

    @cached_property
    def used(self) -> Bool[np.ndarray, "n m"]:
        """``[n, m]`` the nodes that any cell has."""
        around = np.pad(self.cells, 1)
        return around[:-1, :-1] | around[1:, :-1] | around[:-1, 1:] | around[1:, 1:]


class OrbitedTorso:
    """A torso cut out of a still picture, to be drawn as seen from other sides.

    Args:
        colors: ``[h, w, 3]`` float32 0–1 of the torso, also where it is transparent.
        cover: ``[h, w]`` float32 0–1 its coverage.
        stance: where it stands.
        K: ``[3, 3]`` the camera's intrinsics in pixels of the picture.
        face_px: face height, pixels.
    """

    def __init__(
        self,
        colors: Float32[np.ndarray, "h w 3"],
        cover: Float32[np.ndarray, "h w"],
        stance: Stance,
        K: Float[np.ndarray, "3 3"],
        face_px: float,
    ) -> None:
        self._viewmat, self._K = stance.camera.viewmat, K
        self._shape = cover.shape[0], cover.shape[1]
        colors, cover, left = _widened(colors, cover, face_px)
        self._front = np.dstack([colors * cover[..., None], cover]).astype(np.float32)
        self._colors = np.ascontiguousarray(colors)
        grid = _Grid(cover, left, face_px / _NODES_FH)
        axis = self._viewmat[:3, :3] @ NECK_PIVOT + self._viewmat[:3, 3]
        step_cm = grid.step * axis[2] / K[0, 0]
        known = grid.mean_depth(stance.surface[stance.weight < _NECK_WEIGHT], K)
        depth = body_relief(grid.cover, known, float(step_cm), float(axis[2]))
        head = np.isfinite(grid.mean_depth(stance.surface, K))
        self._sheets = _front_sheet(grid, depth, K), _back_sheet(grid, depth, head, K, axis)
        self._nape = _nape_sheet(stance)
        # One row of colours, twice: the sheet's places are its own columns.
        self._nape_colors = np.repeat(stance.nape_colors[None], 2, 0).astype(np.float32)

    def draw(self, orbit_deg: float) -> Float32[np.ndarray, "h w 4"]:
        """``[h, w, 4]`` premultiplied picture of the torso.

        Args:
            orbit_deg: how far the camera has gone around.
        """
        matrix = orbit_matrix(self._viewmat, orbit_deg)
        result = np.zeros((*self._shape, 4), np.float32)
        front, back = self._sheets
        if drawn := self._drawn(front, matrix):
            box, across, down, there = drawn
            colors = _looked_up(self._front, across, down, cv2.INTER_CUBIC)
            colors *= _feathered(there)[..., None]
            # Cubic weights overshoot.
            cover = np.clip(colors[..., 3], 0, 1, out=colors[..., 3])
            np.clip(colors[..., :3], 0, cover[..., None], out=result[box][..., :3])
            result[box][..., 3] = cover
        for sheet, picture in ((back, self._colors), (self._nape, self._nape_colors)):
            if sheet is not None and (drawn := self._drawn(sheet, matrix)):
                box, across, down, there = drawn
                colors = _looked_up(picture, across, down, cv2.INTER_LINEAR)
                _add_behind(result[box], colors, there)
        return result

    def _drawn(
        self, sheet: Sheet, matrix: np.ndarray
    ) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray, np.ndarray] | None:
        """Rows and columns of a drawn sheet, and what ``sheet_places`` tells of them."""
        turn, shift = matrix[:3, :3].T.astype(np.float32), matrix[:3, 3].astype(np.float32)
        nodes = _project(sheet.points @ turn + shift, self._K)
        used = nodes[sheet.used]
        if not len(used):
            return None
        height, width = self._shape
        left, top = (max(0, int(low) - 1) for low in used[:, :2].min(0))
        right, bottom = used[:, :2].max(0)
        box = slice(top, min(height, int(bottom) + 3)), slice(left, min(width, int(right) + 3))
        shape = box[0].stop - top, box[1].stop - left
        if min(shape) <= 0:
            return None
        nodes[..., :2] -= np.array([left, top], np.float32)
        return box, *sheet_places(nodes, sheet.places, sheet.cells, shape)


def _looked_up(
    picture: np.ndarray, across: np.ndarray, down: np.ndarray, method: int
) -> np.ndarray:
    """The picture's colours at places ``across [h, w]`` and ``down [h, w]``."""
    return cv2.remap(picture, across, down, method, borderMode=cv2.BORDER_REPLICATE)


class _Grid:
    """The nodes of a torso's mesh, also past the left, right and lower edges of its picture.

    Args:
        cover: ``[h, w]`` coverage of the torso in its widened picture.
        origin: x of the picture's left edge in it, pixels.
        step: wanted distance of nodes, pixels.
    """

    def __init__(self, cover: np.ndarray, origin: int, step: float) -> None:
        height, width = cover.shape
        self.step = max(2, round(step))
        x = np.arange(0, width + self.step, self.step, dtype=np.float32)
        y = np.arange(0, height + self.step, self.step, dtype=np.float32)
        column, row = np.meshgrid(x, y)
        self.places = np.stack([column, row], -1)
        self.x, self.y = column - np.float32(origin), row
        soft = cv2.blur(cover, (self.step, self.step))
        self.cover = _sampled(soft, self.places)
        # Strands have no back.
        solid = cv2.morphologyEx((cover > 0.5).astype(np.uint8), cv2.MORPH_OPEN, disc(4 * step))
        away = cv2.distanceTransform(1 - solid, cv2.DIST_L2, 5)
        away -= cv2.distanceTransform(solid, cv2.DIST_L2, 5)
        #: Pixels outside the outline of what is thick, negative inside.
        self.away = _sampled(cv2.GaussianBlur(away, (0, 0), 1.5 * self.step), self.places)

    def mean_depth(self, points: np.ndarray, K: np.ndarray) -> Float32[np.ndarray, "n m"]:
        """The mean depth of the points ``[k, 3]`` around each node; not a number without any."""
        total, count = np.zeros((2, *self.x.shape))
        if len(points):
            place = _project(points, K)[:, :2]
            column = np.round((place[:, 0] - self.x[0, 0]) / self.step).astype(int)
            row = np.round((place[:, 1] - self.y[0, 0]) / self.step).astype(int)
            ok = (row >= 0) & (row < len(self.x)) & (column >= 0) & (column < self.x.shape[1])
            np.add.at(total, (row[ok], column[ok]), points[ok, 2])
            np.add.at(count, (row[ok], column[ok]), 1)
        # A node at the rim of what is known has half of its points.
        enough = count > 0.4 * count.max(initial=1)
        return np.where(enough, total / np.maximum(count, 1), np.nan).astype(np.float32)

    def sampled(self, values: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Values of nodes ``[n, m, ...]`` at places between them, in pixels of the picture."""
        column, row = (x - self.x[0, 0]) / self.step, (y - self.y[0, 0]) / self.step
        return _sampled(values, np.stack([column, row], -1))


def _sampled(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The image at places ``[..., 2]`` between its pixels."""
    x, y = (np.ascontiguousarray(places[..., axis], np.float32) for axis in (0, 1))
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _widened(
    colors: np.ndarray, cover: np.ndarray, face_px: float
) -> tuple[np.ndarray, np.ndarray, int]:
    """Colours and coverage that go on past the picture's edges, and x of its left edge in them.

    The outline of a shoulder that the edge cuts goes on as it slopes there; cloth is mirrored.
    Pieces of cloth put together (``layers.patches``) were blurred, and brought collars and hands.
    """
    height, width = cover.shape
    left, right = (
        round(_BESIDE * width * bool(edge.any())) for edge in (cover[:, 0], cover[:, -1])
    )
    pad = ((0, round(_BELOW * height * bool(cover[-1].any()))), (left, right))
    # Mattes sag at the picture's edges.
    rim = max(1, width // 60)
    cover = cover.copy()
    for edge, beside in ((cover[:, :rim], rim), (cover[:, -rim:], -1 - rim)):
        np.maximum(edge, cover[:, beside, None], out=edge)
    wide = np.pad(cover, pad, mode="edge")
    # Nor does a body end below the chin.
    joined = cv2.morphologyEx(wide[height - 1 :], cv2.MORPH_CLOSE, np.ones((1, round(face_px) | 1)))
    wide[height:] = joined[1:]
    solid = cover > 0.5
    top = np.where(solid.any(0), solid.argmax(0), np.nan)
    _slope_on(wide[:, :left][:, ::-1], top)
    _slope_on(wide[:, wide.shape[1] - right :], top[::-1])
    picture = np.pad(colors, (*pad, (0, 0)), mode="symmetric")
    # Folds would meet their mirrored images: from the edge on, only shade and weave are kept.
    sigma = _FOLD_FH * face_px
    small = cv2.resize(picture, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(0.5, sigma / 8))
    shade = cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    weave = picture - cv2.GaussianBlur(picture, (0, 0), max(0.8, 0.05 * sigma))
    inner = np.pad(np.zeros(cover.shape, np.uint8), pad, constant_values=1)
    share = smoothstep(cv2.distanceTransform(inner, cv2.DIST_L2, 5) / (0.5 * sigma))[..., None]
    picture = picture + (np.clip(shade + weave, 0, 1) - picture) * share
    return picture.astype(np.float32), wide, left


def _slope_on(beyond: np.ndarray, top: np.ndarray) -> None:
    """Write a shoulder that goes on past the picture's edge into ``beyond [h, n]``.

    Args:
        beyond: columns from the edge outwards.
        top: ``[w]`` row of the outline, from the edge inwards; not a number where there is none.
    """
    inner = top[: max(4, len(top) // 10)]
    there = np.flatnonzero(np.isfinite(inner))
    if not beyond.size or len(there) < 2 or there[0]:
        return
    slope = np.clip(-np.polyfit(there, inner[there], 1)[0], 0, _STEEPEST)
    outline = inner[0] + slope * np.arange(1, beyond.shape[1] + 1)
    beyond[:] = np.clip(np.arange(len(beyond))[:, None] - outline + 0.5, 0, 1)


def _project(points: np.ndarray, K: np.ndarray) -> Float32[np.ndarray, "*n 3"]:
    """Camera points ``[..., 3]`` to pixels, whole at their centres, and depth."""
    K = K.astype(np.float32)
    result = np.empty_like(points, np.float32)
    depth = np.maximum(points[..., 2], np.float32(1))
    result[..., 0] = K[0, 0] * points[..., 0] / depth + (K[0, 2] - np.float32(0.5))
    result[..., 1] = K[1, 1] * points[..., 1] / depth + (K[1, 2] - np.float32(0.5))
    result[..., 2] = depth
    return result


def _unproject(x: np.ndarray, y: np.ndarray, depth: np.ndarray, K: np.ndarray) -> np.ndarray:
    """The inverse of :func:`_project`."""
    return np.stack(
        [(x + 0.5 - K[0, 2]) * depth / K[0, 0], (y + 0.5 - K[1, 2]) * depth / K[1, 1], depth], -1
    ).astype(np.float32)


def _cells(nodes: np.ndarray) -> np.ndarray:
    """``[n - 1, m - 1]`` cells all of whose nodes are there."""
    return nodes[:-1, :-1] & nodes[1:, :-1] & nodes[:-1, 1:] & nodes[1:, 1:]


def _front_sheet(grid: _Grid, depth: np.ndarray, K: np.ndarray) -> Sheet:
    near = cv2.dilate((grid.cover > 0.002).astype(np.uint8), np.ones((5, 5))) > 0
    return Sheet(_unproject(grid.x, grid.y, depth, K), grid.places, _cells(near))


def _back_sheet(
    grid: _Grid, depth: np.ndarray, head: np.ndarray, K: np.ndarray, axis_cm: np.ndarray
) -> Sheet:
    """The surface behind the outline, but not where the head begins, which has a back itself."""
    step_cm = grid.step * axis_cm[2] / K[0, 0]
    steps = np.stack([np.gradient(grid.away, axis=1), np.gradient(grid.away, axis=0)], -1)
    normal = steps / np.maximum(np.linalg.norm(steps, axis=-1, keepdims=True), 1e-3)
    cm = step_cm / grid.step
    reach = np.maximum(grid.away, 0)
    angle = np.minimum(reach * cm / _BACK_CM, np.pi / 2)
    inwards = reach + _BACK_CM / cm * (1 - np.cos(angle))

    def shifted(length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return grid.x - normal[..., 0] * length, grid.y - normal[..., 1] * length

    depth = grid.sampled(depth, *shifted(reach)) + _BACK_CM * np.sin(angle) + _BEHIND_CM
    # What lies as far inside the outline, and never its soft rim.
    places = grid.sampled(grid.places, *shifted(2 * reach + _RIM_CM / cm))
    above = cv2.distanceTransform(1 - (head & (grid.cover < 0.5)).astype(np.uint8), cv2.DIST_L2, 5)
    there = (grid.away * cm > -_RIM_CM) & (grid.away * cm < _BACK_LENGTH_CM)
    foot = shifted(reach)
    aside = np.abs((foot[0] + 0.5 - K[0, 2]) * depth / K[0, 0] - axis_cm[0])
    least = np.where(aside < _NECK_CM, _RIM_CM, _HEAD_CM)
    there &= grid.sampled(above, *foot) * step_cm > least
    return Sheet(_unproject(*shifted(inwards), depth, K), places, _cells(there))


def _nape_sheet(stance: Stance) -> Sheet | None:
    """The head's lower rim, drawn out downwards: what of a nape clothes leave free."""
    rim = stance.nape
    if len(rim) < 2:
        return None
    down = np.arange(-_NAPE_ABOVE_CM, _NAPE_BELOW_CM, 1.0, np.float32)
    # A head's down is the camera's, but for pitch and roll: napes go down into clothes. They widen
    # into shoulders, which the picture may not show.
    middle = (rim[0] + rim[-1]) / 2
    wider = _NAPE_FLARE * np.square(np.maximum(down, 0) / _NAPE_BELOW_CM)[:, None, None]
    points = rim + wider * (rim - middle) * np.array([1, 0, 1], np.float32)
    points = points + down[:, None, None] * np.array([0, 1, 0], np.float32)
    column = np.arange(len(rim), dtype=np.float32)
    places = np.stack([np.tile(column, (len(down), 1)), np.zeros(points.shape[:2])], -1)
    cells = np.ones((len(down) - 1, len(rim) - 1), bool)
    return Sheet(points.astype(np.float32), places.astype(np.float32), cells)


def _add_behind(result: np.ndarray, colors: np.ndarray, there: np.ndarray) -> None:
    """Lay an opaque sheet behind a premultiplied picture ``[h, w, 4]``."""
    share = (1 - result[..., 3:]) * _feathered(there)[..., None]
    result[..., :3] += colors * share
    result[..., 3:] += share


def _feathered(there: np.ndarray) -> np.ndarray:
    """``[h, w]`` 0–1 coverage of what is drawn, half at the pixels along its edge."""
    around = cv2.blur(there, (3, 3), borderType=cv2.BORDER_REPLICATE)
    return there * np.clip(1.5 * around - 0.5, 0, 1)
