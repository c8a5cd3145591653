"""What the source shows of the head in each direction from its middle: radius, colour, hair.

Hair, ears and the back of the head are star-shaped about a point in the skull; what the source
shows of them is collected on a grid of directions, from which ``shell`` completes them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcli.engines.portrait.build.front import FrontPixels, unlike_skin
from talkcli.engines.portrait.build.geometry import HeadGeometry
from talkcli.engines.portrait.build.images import blur, fill_smooth
from talkcli.engines.portrait.splats import Layer
from talkcli.imaging import smoothstep

#: Centre of the star shape in the head frame, centimetres.
CENTRE = np.array([0.0, 1.0, -3.5])
#: Elevations of the grid, degrees.
LOWEST_DEG, HIGHEST_DEG = -80.0, 89.0
#: Ears are neither facial skin nor hair, so hair is sampled above them.
ABOVE_EARS_CM = 3.5
#: Neighbouring pixels further apart in depth than this (cm) belong to different surfaces.
_STEP_CM = 0.8


@dataclass(frozen=True)
class Sphere:
    """A grid of directions: rows from top to bottom, columns around; flipping them mirrors it."""

    rows: int
    columns: int

    def directions(self) -> np.ndarray:
        """``[rows, columns, 3]`` unit vectors in the head frame."""
        elevation = np.radians(np.linspace(HIGHEST_DEG, LOWEST_DEG, self.rows))[:, None]
        azimuth = ((np.arange(self.columns) + 0.5) / self.columns * 2 - 1) * np.pi
        flat = np.cos(elevation)
        return np.stack(
            np.broadcast_arrays(flat * np.sin(azimuth), np.sin(elevation), flat * np.cos(azimuth)),
            -1,
        )

    def cells(self, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of offsets ``[n, 3]`` from the centre."""
        radius = np.maximum(np.linalg.norm(offset, axis=-1), 1e-9)
        elevation = np.degrees(np.arcsin(offset[..., 1] / radius))
        azimuth = np.arctan2(offset[..., 0], offset[..., 2])
        row = (HIGHEST_DEG - elevation) / (HIGHEST_DEG - LOWEST_DEG) * (self.rows - 1)
        column = (azimuth / np.pi + 1) / 2 * self.columns - 0.5
        return (
            np.clip(np.round(row).astype(int), 0, self.rows - 1),
            np.round(column).astype(int) % self.columns,
        )


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
    hair = _like_upper_hair(colors, geometry, pixels) & (geometry.below_jaw < 0.15)
    usable &= ~neck | own | hair
    trust = smoothstep((pixels.cosine - 0.12) / 0.35)
    values = np.dstack([colors, _hair_share(colors, geometry), trust])
    positions, values = _between_pixels(pixels.positions, values, usable, geometry.pose.scale)
    offset = geometry.pose.to_head(positions) - CENTRE
    r0, c0 = sphere.cells(offset)
    radius = np.linalg.norm(offset, axis=-1)
    data = np.column_stack([radius / skull[r0, c0], values])
    weight = np.maximum(values[:, 4], 1e-3)
    cell = r0 * sphere.columns + c0

    def total_of(what: np.ndarray) -> np.ndarray:
        sums = np.bincount(cell, what, minlength=sphere.rows * sphere.columns)
        return sums.reshape(sphere.rows, sphere.columns)

    total = total_of(weight)
    summed = np.stack([total_of(column * weight) for column in data.T], -1)
    known = total > 0
    mean = summed / np.maximum(total, 1e-9)[..., None]
    # Cells between the stretched pixels of the rim stay empty; they are filled from neighbours.
    filled = fill_smooth(mean, known.astype(np.float32), wrap=True)
    mean = np.where(known[..., None], mean, filled)
    near = blur(known.astype(np.float32), 2.0)
    seen = blur(np.where(near > 0.12, mean[..., 5], 0).astype(np.float32), 2.0)
    covered = smoothstep((near - 0.05) / 0.15)
    return Measured(mean[..., 0], seen, covered, mean[..., 1:4], mean[..., 4])


def _between_pixels(
    positions: np.ndarray, values: np.ndarray, usable: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """Surface points every third of a pixel, since pixels seen at a flat angle lie cells apart.

    Args:
        positions: ``[S, S, 3]`` pixel space.
        values: ``[S, S, C]``, interpolated in the same way.
        usable: ``[S, S]`` bool; nothing is interpolated to other pixels or across depth steps.
        scale: pixels per centimetre.

    Returns:
        ``[n, 3]`` points and ``[n, C]`` values.
    """
    whole = np.concatenate([positions, values], -1)
    low, right = whole[:-1, :-1], whole[:-1, 1:]
    down, across = whole[1:, :-1], whole[1:, 1:]
    depths = np.stack([corner[..., 2] for corner in (low, right, down, across)])
    solid = usable[:-1, :-1] & usable[:-1, 1:] & usable[1:, :-1] & usable[1:, 1:]
    solid &= np.ptp(depths, axis=0) < _STEP_CM * scale
    corners = [corner[solid] for corner in (low, right, down, across)]
    found = [whole[usable]]
    for y in (1 / 6, 1 / 2, 5 / 6):
        for x in (1 / 6, 1 / 2, 5 / 6):
            shares = ((1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y)
            found.append(sum(s * c for s, c in zip(shares, corners, strict=True)))
    points = np.concatenate(found)
    return points[:, :3], points[:, 3:]


def _hair_share(colors: np.ndarray, geometry: HeadGeometry) -> np.ndarray:
    """0–1: outside the face and unlike its skin; 0 on a bald head, which should get skin."""
    return unlike_skin(colors, geometry) * ~geometry.on_face


def _like_upper_hair(colors: np.ndarray, geometry: HeadGeometry, pixels: FrontPixels) -> np.ndarray:
    """``[S, S]`` bool: coloured like the hair above the ears, unlike collars and shoulders."""
    height = geometry.pose.to_head(pixels.positions)[..., 1]
    hair = (_hair_share(colors, geometry) > 0.6) & (height > ABOVE_EARS_CM)
    hair &= (geometry.silhouette_distance > 2) & (pixels.layer >= 0)
    if hair.sum() < 50:
        return np.zeros(hair.shape, bool)
    centre, spread = np.median(colors[hair], 0), colors[hair].std(0) + 0.03
    return np.asarray((np.abs(colors - centre) / spread).max(-1) < 2.0)
