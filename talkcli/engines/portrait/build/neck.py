"""The neck under the jaw: where it begins, and the colours of the part that the source hides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcli.engines.portrait.build.continued_light import continued_light
from talkcli.engines.portrait.build.front import FrontPixels
from talkcli.engines.portrait.build.geometry import HALF_NECK_CM, HeadGeometry
from talkcli.engines.portrait.build.images import (
    blur,
    coloured_like,
    dilate,
    distance_to,
    highest_color,
    mean_color,
)
from talkcli.face.measures import face_height
from talkcli.face.skull import CENTRE
from talkcli.face.topology import JAW_LINE
from talkcli.imaging import smoothstep

#: No neck reaches down further below the jaw (face heights): collars begin there.
LOWEST_FH = 0.35
#: Where the source tells nothing: width relative to ICT's neck, and where collars begin.
_USUAL_WIDTH, _USUAL_END_FH = 0.85, 0.22
#: Half of the width of ICT's neck, cm, and between which shares of it necks are as wide.
_ICT_HALF_CM, _WIDTHS = 6.2, (0.72, 1.0)
#: Necks go on under collars for this long; they end no higher than the second (face heights).
_UNDER_COLLAR_FH, _LEAST_END_FH = 0.04, 0.1
#: Fewer pixels tell nothing.
_FEWEST = 30
#: Radius of a neck about the vertical axis through CENTRE.
_NECK_CM = 5.6
#: Collars, scarves and beards go around a neck as they are at its sides, beyond this share of its
#: half width, if they are one thing: deviations from its brightness are less than this share of it,
#: and something for black ones.
_SIDES, _PLAIN, _BLACK = 0.45, 0.25, 0.03
#: Shares of red, green and blue in skin differ by less than this.
_SAME_HUE = 0.035
#: Skin begins this far above the jaw (face heights), and what covers a neck ends over
#: the first length; necks go on under it for the second.
_JAW_FH, _COLLAR_SOFT_CM, _INTO_CM = 0.03, 0.8, 1.5
#: Specks are parts of the neck's texture narrower than this (cm) and darker or brighter than a
#: plain neck by this (natural logarithm).
_SPECK_CM, _STRANGE_LOG = 1.6, 0.3
#: Skin beside a plain neck is continued over this share of the way around it; black, in logarithms.
_CONTINUES, _DARKEST = 0.12, 0.05
#: Relative brightness of the back of a neck, and of a neck that the source does not show.
_SHADED = 0.74


@dataclass(frozen=True)
class NeckShape:
    """What the source shows of a neck's shape.

    Attributes:
        width: of the neck, relative to that of ICT's mean head, which is a man's.
        ends_fh: how far below the jaw its sides reach down to a collar or hair, face heights.
    """

    width: float
    ends_fh: float


def neck_shape(like_skin: np.ndarray, alpha: np.ndarray, geometry: HeadGeometry) -> NeckShape:
    """Measure the bare neck in the source.

    Args:
        like_skin: ``[S, S]`` bool, see ``images.coloured_like``.
        alpha: ``[S, S]`` matte.
        geometry: the measured head.
    """
    bare = like_skin & (alpha > 0.9) & ~geometry.on_face
    bare &= (geometry.below_jaw > 0.02) & (geometry.below_jaw < LOWEST_FH)
    rows = bare & (geometry.below_jaw > 0.06) & (geometry.below_jaw < 0.2)
    if rows.sum() < _FEWEST:
        return NeckShape(_USUAL_WIDTH, _USUAL_END_FH)
    half = float(np.percentile(geometry.neck_across[rows & (geometry.neck_across < 1.4)], 95))
    width = float(np.clip(half * HALF_NECK_CM / _ICT_HALF_CM, *_WIDTHS))
    sides = bare & (geometry.neck_across > 0.6 * half) & (geometry.neck_across < 1.1 * half)
    if sides.sum() < _FEWEST:
        return NeckShape(width, _USUAL_END_FH)
    ends = float(np.percentile(geometry.below_jaw[sides], 90))
    return NeckShape(width, float(np.clip(ends + _UNDER_COLLAR_FH, _LEAST_END_FH, LOWEST_FH)))


@dataclass(frozen=True)
class Neck:
    """A plain neck in all directions; arrays are ``[rows, columns, ...]``.

    Attributes:
        colors: smooth light on skin or cloth.
        bare: 0-1, where only skin may be seen: below the jaw and above what covers the neck.
        cover: 0-1, where cloth covers it.
        skin: ``[3]`` colour of the face's skin.
        reaches_fh: how far below the jaw it must reach to go into what covers it, face heights.
    """

    colors: np.ndarray
    bare: np.ndarray
    cover: np.ndarray
    skin: np.ndarray
    reaches_fh: np.ndarray | float = 0.0

    def foreign(self, texture: np.ndarray) -> np.ndarray:
        """``[rows, columns]`` 0-1: where the texture shows a collar or hair on bare skin."""
        strange = dilate(~coloured_like(texture, self.skin), 2)
        return np.clip(self.bare * 2 * blur(strange, 2.0), 0, 1)


def plain_neck(
    positions: np.ndarray,
    pixels: FrontPixels,
    colors: np.ndarray,
    alpha: np.ndarray,
    geometry: HeadGeometry,
    skin: np.ndarray,
    like_skin: np.ndarray,
) -> Neck:
    """A plain neck at head-frame points ``[..., 3]``.

    Logarithms of the visible neck's colours are fitted linearly in height and width, so that light
    from one side continues around it. If no neck is visible, it gets the face's ``skin [3]`` in
    shadow; ``like_skin [S, S]`` is from ``images.coloured_like``. What covers a neck at its sides
    goes around it up to the same height; behind the jaw there is skin above it.
    """
    region = (geometry.below_jaw > 0.03) & (geometry.below_jaw < 0.3)
    region &= (geometry.neck_across < 0.85) & (alpha > 0.9)
    cover = _cover_of(colors, region & (geometry.neck_across > _SIDES) & ~like_skin)
    if cover is not None and _like_lit_skin(cover, skin):
        # A neck in more light than the face is no collar.
        like_skin = like_skin | coloured_like(colors, cover)
    seen = region & like_skin
    below = below_jaw(positions, geometry)
    behind = smoothstep((CENTRE[2] + 1.5 - positions[..., 2]) / 6.0)
    shade = (1 - (1 - _SHADED) * behind)[..., None]
    bare, cloth = smoothstep((below + _JAW_FH) / _JAW_FH), np.zeros_like(below)
    reaches = np.zeros_like(below)
    if seen.sum() <= 0.3 * region.sum():
        sides = region & (geometry.neck_across > _SIDES)
        made, cover = np.broadcast_to(skin * shade, positions.shape), _cover_of(colors, sides)
        if cover is not None:
            heights = geometry.pose.to_head(pixels.positions[sides & ~like_skin])[:, 1]
            top = np.percentile(heights, 95) if len(heights) else -np.inf
            above = smoothstep((positions[..., 1] - top) / _COLLAR_SOFT_CM)
            bare, cloth = bare * above, 1 - above
            made = made + cloth[..., None] * (cover * shade - made)
            # Or the nape, drawn out downwards from its rim, would be bare behind the collar.
            reach = below + (positions[..., 1] - top + _INTO_CM) / face_height(
                geometry.pose.to_head(geometry.vertices)
            )
            reaches = np.clip(reach, 0, LOWEST_FH)
        return Neck(np.asarray(made, np.float32), bare, cloth, skin, reaches)
    if seen.sum() < _FEWEST:
        return Neck(np.asarray(np.broadcast_to(skin * shade, positions.shape)), bare, cloth, skin)
    across = geometry.pose.to_head(pixels.positions[seen])[:, 0] / _NECK_CM
    known = np.column_stack([np.ones(len(across)), geometry.below_jaw[seen] / 0.15, across])
    logs = np.log(colors[seen] + 0.05)
    middle = np.median(logs, 0)
    # The ridge is a tenth of the pixels: slopes seen only on a sliver of neck are not trusted.
    normal = known.T @ known + 0.1 * len(across) * np.eye(3)
    slopes = np.linalg.solve(normal, known.T @ (logs - middle))
    # The chin's shadow falls on the front.
    low = np.clip(below, 0, 0.3) / 0.15
    low = low + (1 - low) * behind
    around = np.clip(positions[..., 0] / _NECK_CM, -1, 1)
    asked = np.stack([np.ones_like(low), low, around], -1)
    logs = np.clip(asked @ slopes.astype(np.float32), -0.5, 0.3)
    fitted = np.exp(logs + middle) - np.float32(0.05)
    return Neck(np.asarray(fitted * shade, np.float32), bare, cloth, skin)


def continued_neck(texture: np.ndarray, neck: Neck, seen: np.ndarray) -> np.ndarray:
    """``[rows, columns, 3]`` a plain neck that goes on from the skin that is seen beside it.

    Args:
        texture: ``[rows, columns, 3]`` what is seen in each direction.
        neck: the plain neck.
        seen: ``[rows, columns]`` 0-1, how well, and only below hair.
    """
    plain = neck.colors
    off = highest_color(np.abs(np.log((texture + _DARKEST) / (plain + _DARKEST))))
    weight = smoothstep((seen - 0.4) / 0.3) * (1 - smoothstep((off - 0.4) / 0.3))
    weight = weight * (1 - neck.foreign(texture)) * coloured_like(texture, neck.skin)
    if not (weight > 0.5).any():
        return plain
    light = continued_light(texture, weight, plain, distance_to(weight > 0.5), _CONTINUES)
    return np.asarray(light + neck.cover[..., None] * (plain - light))


def below_jaw(positions: np.ndarray, geometry: HeadGeometry) -> np.ndarray:
    """Height below the jaw line, in face heights, of head-frame points ``[..., 3]``.

    The same measure as ``HeadGeometry.below_jaw``, but in space: the back of the neck must turn
    by as much as its front, and it appears in the source at the height of the face.
    """
    face = geometry.pose.to_head(geometry.vertices)
    jaw = face[list(JAW_LINE)]
    order = np.argsort(jaw[:, 0])
    line = np.interp(positions[..., 0], jaw[order, 0], jaw[order, 1])
    return np.asarray((line - positions[..., 1]) / face_height(face), np.float32)


def _like_lit_skin(color: np.ndarray, skin: np.ndarray) -> bool:
    """Whether ``color [3]`` is the face's ``skin [3]`` in more light."""
    light, usual = float(color.sum()), max(float(skin.sum()), 1e-3)
    return light > usual and float(np.abs(color / light - skin / usual).max()) < _SAME_HUE


def _cover_of(colors: np.ndarray, sides: np.ndarray) -> np.ndarray | None:
    """``[3]`` the colour of what covers a neck at its sides and goes around it, if anything."""
    if sides.sum() < _FEWEST:
        return None
    middle = np.median(colors[sides], 0)
    off = np.median(np.abs(mean_color(colors[sides]) - middle.mean()))
    return np.asarray(middle) if off < _PLAIN * middle.mean() + _BLACK else None


def specks(texture: np.ndarray, neck_colors: np.ndarray, below_hair: np.ndarray) -> np.ndarray:
    """``[rows, columns]`` 0–1: remnants of collar and hair on the neck, too small to keep."""
    light = np.log((mean_color(texture) + 0.05) / (mean_color(neck_colors) + 0.05))
    strange = (np.abs(light) > _STRANGE_LOG) & (below_hair > 0.3)
    reach = max(1, round(_SPECK_CM / 2 * texture.shape[1] / (2 * np.pi * 10)))
    large = distance_to(distance_to(~strange) > reach) <= 2 * reach
    grown = dilate(strange & ~large, max(1, reach // 3))
    return np.clip(2 * blur(grown, max(1.0, reach / 4)), 0, 1)
