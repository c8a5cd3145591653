"""The person's own teeth, where the picture shows them, on the avatar's rows of teeth.

There is one set of teeth: drawn ones, on which the picture is painted where lips leave it to be
seen. What lips hide goes on as the tooth below it does; teeth that the picture does not show at all
are drawn in its colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from talkcli.engines.portrait.build.geometry import HeadGeometry, Pinhole
from talkcli.engines.portrait.build.images import (
    blur_along,
    dilate,
    erode,
    inside_distance,
    mean_color,
    nearest,
)
from talkcli.imaging import smoothstep
from talkcli.shapes import Bool, Float

#: Bright, unsaturated pixels are teeth if they fill these shares of the opening's width and area.
_TEETH_WIDTH, _TEETH_SHARE = 0.6, 0.35
#: Columns of a row beyond this share of its half width tell nothing about its edge.
_CENTRAL = 0.5
#: The edge may be this far (cm) below and above its usual place.
_LOWER_CM, _HIGHER_CM = 0.5, 0.3
#: A dark line between the rows of a closed bite: its width (cm) and least depth (share of light).
_BITE_CM, _BITE_DEPTH = 0.3, 0.1
#: Share of central columns with teeth that must agree on an edge.
_AGREE = 0.3
#: Less of a row is none: share of its columns, and lines and centimetres of their height. Light on
#: lips that hardly part is .12 cm high and two lines, the teeth of eleven portraits .25 to .9.
_LEAST_COLUMNS, _LEAST_LINES, _LEAST_CM = 0.3, 3, 0.15
#: Seen teeth are painted if they are at least this high (cm) and bright (beside drawn ones), over a
#: rim of this width (cm).
_PAINTED_CM, _BRIGHT, _RIM_CM = 0.35, 0.75, 0.1
#: Teeth beside the last one that is seen take its colour over this width (cm).
_FADE_CM = 0.15
#: Edges are smoothed over this width (cm).
_EDGE_CM = 0.04
#: Seen teeth are at least and at most this much as bright as drawn ones, and in one channel as in
#: another, else they are lip or tongue. Eleven portraits: .66 to 1.5, and 1.3 between channels.
_GAIN, _TINT = (0.55, 1.7), 1.33
#: The light of the source's lips on its teeth is taken off again, down to this share.
_LEAST_LIGHT = 0.5
#: No channel is brighter; all are scaled down together, or teeth would be grey in the lips' shade.
_BRIGHTEST = 0.97


class Looked(NamedTuple):
    """What the picture shows at the points of a row ``[r, c]``."""

    colors: Float[np.ndarray, "r c 3"]
    tooth: Bool[np.ndarray, "r c"]
    opened: Bool[np.ndarray, "r c"]


class PaintedRow(NamedTuple):
    """Enamel ``[r, c, 3]``, its coverage ``[r, c]`` and by how much ``[3]`` it was made brighter.

    ``gain`` is None if the picture shows too little of this row.
    """

    color: Float[np.ndarray, "r c 3"]
    opaque: Float[np.ndarray, "r c"]
    gain: Float[np.ndarray, " 3"] | None


@dataclass(frozen=True)
class SeenTeeth:
    """Teeth in the picture, all ``[S, S]``.

    Attributes:
        rgb: ``[S, S, 3]`` the crop.
        teeth: pixels of teeth.
        opening: pixels between the lips.
        camera: the source's camera.
    """

    rgb: Float[np.ndarray, "S S 3"]
    teeth: Bool[np.ndarray, "S S"]
    opening: Bool[np.ndarray, "S S"]
    camera: Pinhole

    def at(self, points: Float[np.ndarray, "r c 3"]) -> Looked:
        """Look at pixel-space points."""
        place = np.ascontiguousarray(self.camera.project(points) - 0.5, np.float32)

        def look(image: np.ndarray) -> np.ndarray:
            image = np.ascontiguousarray(image, np.float32)
            return np.asarray(cv2.remap(image, place, None, cv2.INTER_LINEAR))

        opened = look(erode(self.opening)) > 0.5
        return Looked(look(self.rgb), (look(self.teeth) > 0.5) & opened, opened)

    def beyond(self, edge: Float[np.ndarray, "c 3"]) -> SeenTeeth:
        """Without the teeth above an edge ``[c, 3]``, which are the other row's."""
        place = self.camera.project(edge)
        order = np.argsort(place[:, 0])
        columns = np.arange(self.teeth.shape[1]) + 0.5
        line = np.interp(columns, place[order, 0], place[order, 1])
        below = np.arange(len(self.teeth))[:, None] > line + 1
        return SeenTeeth(self.rgb, self.teeth & below, self.opening, self.camera)


def row_of_teeth(
    rgb: Float[np.ndarray, "S S 3"], geometry: HeadGeometry
) -> Bool[np.ndarray, "S S"]:
    """``[S, S]`` bright, unsaturated pixels of an open mouth, if they make a row of teeth."""
    mouth, eyes = geometry.mouth_mask(), geometry.eye_mask()
    skin = np.median(rgb[geometry.on_face & ~mouth & ~eyes], 0).mean()
    inside = rgb[mouth]
    bright = np.zeros_like(mouth)
    bright[mouth] = (inside.min(-1) > 0.5 * inside.max(-1)) & (inside.mean(-1) > 0.55 * skin)
    teeth = erode(dilate(bright, 2), 2) & mouth
    columns = np.flatnonzero(teeth.any(0))
    wide = len(columns) > 0 and np.ptp(columns) > _TEETH_WIDTH * np.ptp(
        np.flatnonzero(mouth.any(0))
    )
    if not wide or teeth.sum() < _TEETH_SHARE * mouth.sum():
        return np.zeros_like(mouth)
    return np.asarray(teeth)


def edge_shift(looked: Looked, across: np.ndarray, below_cm: np.ndarray) -> float:
    """How far (cm) the edge of the picture's row lies beyond its usual place; 0 if not seen.

    Args:
        looked: the picture at a row that goes on beyond its edge.
        across: ``[c]`` -1 to 1 along the row.
        below_cm: ``[r]`` falling: how far beyond the usual edge each line is; the last is the gum.
    """
    step = float(np.abs(np.diff(below_cm)).mean())
    light = mean_color(looked.colors)
    closed = cv2.morphologyEx(
        np.ascontiguousarray(light, np.float32),
        cv2.MORPH_CLOSE,
        np.ones((2 * round(_BITE_CM / step / 2) + 1, 1), np.uint8),
    )
    near = (below_cm < _LOWER_CM) & (below_cm > -_HIGHER_CM)
    bite = (light < (1 - _BITE_DEPTH) * closed) & near[:, None]
    tooth = looked.tooth & ~bite
    edges: list[float] = []
    bounds: list[float] = []
    for column in np.flatnonzero((np.abs(across) < _CENTRAL) & tooth.any(0)):
        last = int(np.flatnonzero(tooth[:, column])[-1])
        gaps = np.flatnonzero(~tooth[:last, column])
        end = int(gaps[-1]) if len(gaps) else -1
        ends = end >= 0 and looked.opened[max(end - 1, 0), column]
        (edges if ends else bounds).append(below_cm[end + 1])
    if len(edges) >= _AGREE * (len(edges) + len(bounds)) > 0:
        return float(np.clip(np.median(edges), -_HIGHER_CM, _LOWER_CM))
    # Hidden by the other lip, it lies at least where that begins.
    return float(np.clip(np.median(bounds), 0, _LOWER_CM)) if bounds else 0.0


def paint(
    color: Float[np.ndarray, "r c 3"],
    opaque: Float[np.ndarray, "r c"],
    looked: Looked,
    step_cm: float,
    light: float,
) -> PaintedRow:
    """Paint the picture's teeth on a drawn row.

    Args:
        color: ``[r, c, 3]`` drawn enamel, from the edge to the gum.
        opaque: ``[r, c]`` its coverage.
        looked: the picture there.
        step_cm: distance of two columns, and of two lines.
        light: share of the light that reached the teeth in the picture.

    Returns:
        The row as drawn where the picture shows too little.
    """
    unseen = PaintedRow(color, opaque, None)
    known = looked.tooth
    columns = known.any(0)
    if columns.mean() < _LEAST_COLUMNS:
        return unseen
    lines = np.median(known.sum(0)[columns])
    if lines < max(_LEAST_LINES, _LEAST_CM / step_cm):
        return unseen
    picture = _limited(_evenly_lit(looked.colors, known) / light)
    gain = np.median(picture[known], 0) / np.maximum(np.median(color[known], 0), 1e-3)
    if not _GAIN[0] < gain.mean() < _GAIN[1] or gain.max() > _TINT * gain.min():
        return unseen
    # A narrow or dim strip, its rims part lip, tells a colour, and half of its tint, but no teeth.
    if lines < _PAINTED_CM / step_cm or gain.mean() < _BRIGHT:
        gain = gain.mean() * np.sqrt(gain / gain.mean())
        return PaintedRow(_limited(color * gain), opaque, gain)
    drawn = _limited(color * gain)
    lenders = erode(known, 2) if erode(known, 2).any(0).sum() > columns.sum() / 2 else known
    lent = lenders.sum(0)
    mean = (picture * lenders[..., None]).sum(0) / np.maximum(lent, 1)[:, None]
    # The nearest column of teeth, fading aside; from the rim of what is seen on, its mean.
    from_teeth, index = nearest(np.broadcast_to(lent > 0, known.shape))
    share = 1 - smoothstep(from_teeth * step_cm / _FADE_CM)
    color = drawn + share[..., None] * (mean[index % known.shape[1]] - drawn)
    inner = smoothstep(inside_distance(lenders) * step_cm / _RIM_CM)[..., None]
    color = color + inner * (picture - color)
    # Nothing hangs below an edge that is seen.
    first = np.where(columns, known.argmax(0), 0).astype(np.float32)
    first = blur_along(cv2.medianBlur(first[None], 5), _EDGE_CM / step_cm, axis=1)[0]
    free = looked.opened & (np.arange(len(known))[:, None] < first)
    return PaintedRow(color, np.where(free, 0, opaque), gain)


def _limited(colors: np.ndarray) -> np.ndarray:
    return colors * np.minimum(1, _BRIGHTEST / np.maximum(colors.max(-1, keepdims=True), 1e-3))


def _evenly_lit(colors: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Without the shade that grows towards the lip, which the avatar's own lips cast anew."""
    light = mean_color(colors)
    brightest = np.where(known, light, 0).max(0)
    share = np.where(known, light / np.maximum(brightest, 1e-3), 0).sum(1)
    count = known.sum(1)
    rows = np.flatnonzero(count)
    level = np.interp(np.arange(len(known)), rows, share[rows] / count[rows])
    level = blur_along(level[:, None].astype(np.float32), 1.5, axis=0)
    level = np.clip(level / level.max(), _LEAST_LIGHT, 1)
    return np.asarray(colors / level[..., None])
