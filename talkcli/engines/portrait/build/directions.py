"""What the source shows of the head in each direction from its middle: radius, colour, hair.

Hair, ears and the back of the head are star-shaped about a point in the skull; what the source
shows of them is collected on a grid of directions, from which ``shell`` completes them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcli.engines.portrait.build.front import FrontPixels
from talkcli.engines.portrait.build.geometry import HeadGeometry
from talkcli.engines.portrait.build.hair_color import hair_share
from talkcli.engines.portrait.build.images import (
    blur,
    fill_smooth,
    highest_color,
    lengths,
    window,
)
from talkcli.engines.portrait.splats import Layer
from talkcli.face.skull import CENTRE, HIGHEST_DEG, LOWEST_DEG
from talkcli.imaging import smoothstep

#: Ears are neither facial skin nor hair, so hair is sampled above them.
ABOVE_EARS_CM = 3.5
#: Columns are thinned to a distance of no less than this, relative to that of the rows.
_DENSEST = 0.7
#: Neighbouring pixels further apart in depth than this (cm) belong to different surfaces.
_STEP_CM = 0.8
#: Pixels whose depth changes by more than these many pixels per pixel lie more than one cell, or
#: more than two cells apart; surface points are then needed twice or three times per pixel.
_SLOPING, _STEEP = 1.0, 2.5


@dataclass(frozen=True)
class Sphere:
    """A grid of directions: rows from top to bottom, columns around; flipping them mirrors it."""

    rows: int
    columns: int

    def directions(self) -> np.ndarray:
        """``[rows, columns, 3]`` unit vectors in the head frame."""
        elevation = np.radians(np.linspace(HIGHEST_DEG, LOWEST_DEG, self.rows))[:, None]
        azimuth = ((np.arange(self.columns) + 0.5) / self.columns * 2 - 1) * np.pi
        directions = np.empty((self.rows, self.columns, 3), np.float32)
        directions[..., 0] = np.cos(elevation) * np.sin(azimuth)
        directions[..., 1] = np.sin(elevation)
        directions[..., 2] = np.cos(elevation) * np.cos(azimuth)
        return directions

    def strides(self) -> np.ndarray:
        """``[rows]`` int32: of how many columns one is enough, since they meet at the top."""
        elevation = np.radians(np.linspace(HIGHEST_DEG, LOWEST_DEG, self.rows))
        return np.maximum(1, (_DENSEST / np.cos(elevation)).astype(np.int32))

    def cells(self, offset: np.ndarray) -> np.ndarray:
        """Flat indices ``[n]`` of the cells of offsets ``[n, 3]`` from the centre."""
        radius = np.maximum(lengths(offset), 1e-9)
        elevation = np.arcsin(offset[..., 1] / radius)
        azimuth = np.arctan2(offset[..., 0], offset[..., 2])
        per_degree = (self.rows - 1) / (HIGHEST_DEG - LOWEST_DEG)
        row = HIGHEST_DEG * per_degree - elevation * (np.degrees(1) * per_degree)
        column = azimuth * (self.columns / (2 * np.pi)) + (self.columns - 1) / 2
        row = np.clip(np.rint(row).astype(np.int32), 0, self.rows - 1)
        return np.asarray(row * self.columns + np.rint(column).astype(np.int32) % self.columns)


@dataclass(frozen=True)
class Measured:
    """What the source shows in each direction; all arrays are ``[rows, columns, ...]``.

    Attributes:
        ratio: radius relative to that of a bald skull.
        seen: 0–1, how well it is seen.
        covered: 0–1, whether any source pixel lies there, at however flat an angle.
        color: sRGB-encoded.
        hair: 0–1, outside the face and unlike its skin.
    """

    ratio: np.ndarray
    seen: np.ndarray
    covered: np.ndarray
    color: np.ndarray
    hair: np.ndarray


def measure_directions(
    sphere: Sphere,
    skull: np.ndarray,
    pixels: FrontPixels,
    colors: np.ndarray,
    alpha: np.ndarray,
    geometry: HeadGeometry,
) -> Measured:
    """Collect the source's pixels by direction."""
    usable = (alpha > 0.9) & (pixels.layer >= Layer.SKIN) & (geometry.head_weight > 0.1)
    # Shoulders beside the neck and collars around it are not part of the head's shape.
    neck = geometry.below_jaw > 0.03
    own = (geometry.neck_across < 1.0) & (geometry.below_jaw < 0.12)
    hair = hair_share(colors, geometry)
    head = geometry.pose.to_head(pixels.positions) - CENTRE
    upper = (head[..., 1] > ABOVE_EARS_CM - CENTRE[1]) & (pixels.layer >= 0)
    upper &= (hair > 0.6) & (geometry.silhouette_distance > 2)
    like_hair = _like_those(colors, upper) & (geometry.below_jaw < 0.15)
    usable &= ~neck | own | like_hair
    trust = smoothstep((pixels.cosine - 0.12) / 0.35)
    box = window(usable, 1)
    samples, share = _between_pixels(
        np.dstack([head[box], colors[box], hair[box], trust[box]]),
        pixels.positions[box][..., 2],
        usable[box],
        _STEP_CM * geometry.pose.scale,
    )
    cell = sphere.cells(samples[:, :3])
    weight = share * np.maximum(samples[:, 7], 1e-3)

    def total_of(what: np.ndarray) -> np.ndarray:
        sums = np.bincount(cell, what, minlength=sphere.rows * sphere.columns)
        return sums.reshape(sphere.rows, sphere.columns).astype(np.float32)

    total = total_of(weight)
    ratio = lengths(samples[:, :3]) / skull.take(cell)
    columns = (ratio, *samples[:, 3:].T)
    known = total > 0
    summed = np.stack([total_of(column * weight) for column in columns], -1)
    mean = summed / np.maximum(total, 1e-9)[..., None]
    # Cells between the stretched pixels of the rim stay empty; they are filled from neighbours.
    filled = fill_smooth(mean, known.astype(np.float32), wrap=True)
    mean = np.where(known[..., None], mean, filled)
    near = blur(known.astype(np.float32), 2.0)
    seen = blur(np.where(near > 0.12, mean[..., 5], 0).astype(np.float32), 2.0)
    covered = smoothstep((near - 0.05) / 0.15)
    return Measured(mean[..., 0], seen, covered, mean[..., 1:4], mean[..., 4])


def _between_pixels(
    values: np.ndarray, depth: np.ndarray, usable: np.ndarray, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """Values of the pixels and between them, since pixels seen at a flat angle lie cells apart.

    Args:
        values: ``[S, S, C]``.
        depth: ``[S, S]`` pixels.
        usable: ``[S, S]`` bool; nothing is interpolated to other pixels.
        step: pixels; nothing is interpolated across larger steps in depth.

    Returns:
        ``[n, C]`` values and ``[n]`` the area for which each stands, in pixels.
    """
    low, right, down, across = (
        (slice(None, -1), slice(None, -1)), (slice(None, -1), slice(1, None)),
        (slice(1, None), slice(None, -1)), (slice(1, None), slice(1, None)),
    )  # fmt: skip
    first, second = np.minimum(depth[low], depth[right]), np.minimum(depth[down], depth[across])
    slope = np.maximum(
        np.maximum(depth[low], depth[right]), np.maximum(depth[down], depth[across])
    ) - np.minimum(first, second)
    solid = usable[low] & usable[right] & usable[down] & usable[across] & (slope < step)
    found = [values[usable]]
    share = [np.full(len(found[0]), 1 / 9, np.float32)]
    for count, least, most in ((1, -1.0, _SLOPING), (2, _SLOPING, _STEEP), (3, _STEEP, np.inf)):
        chosen = solid & (slope >= least) & (slope < most)
        corners = [values[place][chosen] for place in (low, right, down, across)]
        places = (np.arange(count, dtype=np.float32) + np.float32(0.5)) / np.float32(count)
        for y in places:
            left = corners[0] + y * (corners[2] - corners[0])
            change = corners[1] + y * (corners[3] - corners[1]) - left
            found += [left + x * change for x in places]
        share.append(np.full(count**2 * len(corners[0]), 1 / count**2, np.float32))
    return np.concatenate(found), np.concatenate(share)


def _like_those(colors: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """``[S, S]`` bool: coloured like the hair above the ears, unlike collars and shoulders.

    Args:
        colors: ``[S, S, 3]``.
        hair: ``[S, S]`` bool, hair above the ears.
    """
    if hair.sum() < 50:
        return np.zeros(hair.shape, bool)
    centre, spread = np.median(colors[hair], 0), colors[hair].std(0) + 0.03
    return np.asarray(highest_color(np.abs(colors - centre) * (1 / spread)) < 2.0)
