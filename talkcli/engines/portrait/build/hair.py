"""Hair that the source does not show: its texture, and the strands of its outline.

Texture is copied in patches from hair that the source shows well; a mean, or the last pixels before
the silhouette drawn out, is a smooth cape. Strands stand off the closed surface by a few
millimetres, so that a turned head ends in hair and not in the edge of a dome.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from talkcli.engines.portrait.build.continued_light import continued_light
from talkcli.engines.portrait.build.directions import ABOVE_EARS_CM, Measured
from talkcli.engines.portrait.build.groups import SplatGroup
from talkcli.engines.portrait.build.images import at, blur, distance_to, lengths, unit
from talkcli.engines.portrait.splats import Layer
from talkcli.imaging import smoothstep
from talkcli.layers.patches import fill_patches

#: Directions seen at least this well give patches of hair, if they are this share of it.
_WELL, _ENOUGH_WELL = 0.45, 0.2
#: A head with less hair than this share of what is seen above the ears is bald.
_LEAST_HAIR = 0.12
#: Hair gets darker away from what is seen, by this share, over this share of the way around.
_DARKER, _OVER = 0.17, 0.25
#: Patches continue the gradient at their border, which at a dark rim leads to black: only what of
#: them is finer than this (share of the way around) is kept, within these limits.
_STRANDS, _CONTRAST = 0.014, (0.55, 1.7)
#: Light goes on from what is seen, and over this share of the way around becomes that of hair seen
#: from aside. The rim itself is dark or lit from behind, up to the first value of "seen"; hair that
#: faces the camera weighs less by the share, beginning at the second, over the third.
_LEVELLED, _FACING, _ASIDE = 0.15, 0.6, (0.25, 0.4, 0.4)
#: Rims are continued as bright as this at most, relative to the back.
_BRIGHTEST = 1.4
#: Added to colours before dividing them, so that black hair gets no grain.
_BLACK = 0.02
#: Hair that falls this far below the jaw begins to close around the back, from the first azimuth to
#: the second (degrees), down to the last height (face heights).
_SHORT_FH, _CURTAIN_DEG, LONGEST_FH = 0.1, (65.0, 90.0), 0.6
#: It falls from this height (sine of the elevation), where it is as wide but for this factor.
_FALLS_FROM, _NARROWER = -0.15, 0.95
#: Strands per square centimetre, how far they stand off at most, and their length and width, cm.
_DENSITY, _OFF_CM, _LENGTH_CM, _WIDTH_CM = 14.0, 0.45, 0.55, 0.05
#: By how much strands are turned out of the way that hair falls, and lifted off (tangents).
_ASTRAY, _LIFTED = 0.35, 0.25
#: Strands are seen as far as this, in lengths.
_REACH = 1.6
#: Opacity of strands, and deviation of their brightness.
_OPAQUE, _UNEVEN = 0.6, 0.12


def continued_hair(texture: np.ndarray, source: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """``[rows, columns, 3]`` relative brightness of strands where hair is continued, by patches.

    Args:
        texture: ``[rows, columns, 3]`` float32; columns go around.
        source: ``[rows, columns]`` bool, hair that is seen well.
        wanted: ``[rows, columns]`` bool.
    """
    half = source.shape[1] // 2
    # Behind the head the columns begin and end.
    rolled, known, hole = (np.roll(part, half, 1) for part in (texture, source, wanted & ~source))
    filled = np.roll(fill_patches(rolled, hole, known), -half, 1) + np.float32(_BLACK)
    smooth = blur(filled, _STRANDS * source.shape[1])
    return np.clip(filled / np.maximum(smooth, _BLACK), *_CONTRAST)


@dataclass(frozen=True)
class Crown:
    """What the source or its mirror image shows above the ears; ``[rows, columns]`` each.

    Attributes:
        top: bool, seen at all.
        hair: bool, hair or what covers it.
        seen: 0–1, how well any direction is seen on the better side.
    """

    top: np.ndarray
    hair: np.ndarray
    seen: np.ndarray

    @property
    def bald(self) -> bool:
        """Whether there is next to no hair."""
        return bool(self.hair.sum() < _LEAST_HAIR * self.top.sum())


def crown_of(known: Measured, height: np.ndarray) -> Crown:
    """Find hair above the ears.

    Args:
        known: what the source shows.
        height: ``[rows, columns]`` y of the bare skull, cm.
    """

    def better(values: np.ndarray) -> np.ndarray:
        return np.maximum(values, values[:, ::-1])

    above = height > ABOVE_EARS_CM
    top = above & (better(known.covered) > 0.5)
    return Crown(top, above & (better(known.hair * known.covered) > 0.6), better(known.seen))


def continued_crown(
    texture: np.ndarray, crown: Crown, wanted: np.ndarray, textured: bool = True
) -> np.ndarray:
    """Continue the top of a head: its hair, or the skin of a bald one.

    Args:
        texture: ``[rows, columns, 3]`` float32.
        crown: what is seen of it.
        wanted: ``[rows, columns]`` bool, where it is to be continued.
        textured: with the texture of hair, not just its light.
    """
    region = crown.top if crown.bald else crown.hair
    if not region.any():
        return texture
    rim, turned, facing = _ASIDE
    aside = smoothstep(crown.seen / rim) * (
        1 - _FACING * smoothstep((crown.seen - turned) / facing)
    )
    aside = aside * region
    level = np.median(texture[aside > 0.5 * aside.max()], 0)
    # Rims take on the colour of lamps and walls, so only the brightness comes from aside.
    tint = np.median(texture[region & (crown.seen >= np.median(crown.seen[region]))], 0)
    # And none of them is a lamp: backs are seldom brighter than what faces the camera.
    level = tint * min(1.0, level.mean() / max(float(tint.mean()), _BLACK))
    dim = np.minimum(texture, _BRIGHTEST * level)
    light = continued_light(dim, aside, level, distance_to(region), _LEVELLED)
    away = distance_to(region) / np.float32(_OVER * texture.shape[1])
    light = light * (1 - _DARKER * smoothstep(away))[..., None]
    if crown.bald or not textured:
        return light
    well = crown.hair & (crown.seen > _WELL)
    source = well if well.sum() > _ENOUGH_WELL * crown.hair.sum() else crown.hair
    return np.clip(light * continued_hair(texture, source, wanted), 0, 1)


def fallen_hair(directions: np.ndarray, falls_fh: float) -> np.ndarray:
    """``[rows, columns]`` 0–1: where hair that falls beside the neck falls around the back, too."""
    long = smoothstep(np.array((falls_fh - _SHORT_FH) / _SHORT_FH))
    azimuth = np.degrees(np.abs(np.arctan2(directions[..., 0], directions[..., 2])))
    first, last = _CURTAIN_DEG
    return np.asarray(long * smoothstep((azimuth - first) / (last - first)), np.float32)


def curtain(radius: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """``[rows, columns]`` cm: radius of hair that falls straight down from the ears' height."""
    level = lengths(directions[..., ::2])
    row = int(np.abs(directions[:, 0, 1] - _FALLS_FROM).argmin())
    wide = blur(np.tile(radius[row] * level[row], (3, 1)), 0.02 * radius.shape[1])[1]
    straight = _NARROWER * wide / np.maximum(level, 0.2)
    return np.where(directions[..., 1] < directions[row, 0, 1], straight, 0)


@dataclass(frozen=True)
class HairSurface:
    """The closed surface that strands stand on, in pixel space; arrays are ``[rows, columns]``.

    Attributes:
        points: ``[..., 3]``.
        along: ``[..., 3]`` one row down.
        across: ``[..., 3]`` one column to the right.
        colors: ``[..., 3]``.
        hair: 0–1, how likely hair grows there.
        head_weight: share of the head's rotation.
    """

    points: np.ndarray
    along: np.ndarray
    across: np.ndarray
    colors: np.ndarray
    hair: np.ndarray
    head_weight: np.ndarray


def strand_group(
    surface: HairSurface,
    kept: np.ndarray,
    hidden: Callable[[np.ndarray], np.ndarray],
    pixels_per_cm: float,
) -> SplatGroup:
    """Build strands on the hidden part of the hair.

    Args:
        surface: the closed head.
        kept: ``[n]`` flat indices of its cells that have splats.
        hidden: of points ``[m, 3]``, whether the source's camera does not see them.
        pixels_per_cm: of pixel space.
    """
    random = np.random.default_rng(len(kept))
    along, across = at(surface.along, kept), at(surface.across, kept)
    area = lengths(np.cross(along, across)) / pixels_per_cm**2
    chance = _DENSITY * area * smoothstep((at(surface.hair, kept) - 0.4) / 0.4)
    chosen = random.random(len(kept)) < chance
    place, along, across = kept[chosen], along[chosen], across[chosen]
    outward = unit(np.cross(along, across))
    length, off, astray, light = random.random((4, len(place), 1)).astype(np.float32)
    along, across = unit(along), unit(across)
    flow = unit(along + _ASTRAY * (2 * astray - 1) * across + _LIFTED * off * outward)
    points = at(surface.points, place) + off**2 * _OFF_CM * pixels_per_cm * outward
    size = (0.6 + 0.8 * length) * _LENGTH_CM * pixels_per_cm
    # The whole of it, or the source itself would change at its outline.
    unseen = hidden(points)
    for end in (-_REACH, _REACH):
        unseen &= hidden(points + end * size * flow)
    place, points, flow, outward, size = (
        part[unseen] for part in (place, points, flow, outward, size)
    )
    bright = 1 + _UNEVEN * (2 * light[unseen] - 1)
    return SplatGroup(
        layer=Layer.SHELL,
        positions=points,
        tangent_u=unit(np.cross(outward, flow)) * np.float32(_WIDTH_CM * pixels_per_cm),
        tangent_v=flow * size,
        colors=np.clip(at(surface.colors, place) * bright, 0, 1),
        opacities=np.full(len(place), _OPAQUE, np.float32),
        head_weight=at(surface.head_weight, place),
        normals=outward,
    )
