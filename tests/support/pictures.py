"""Pictures of noise with a crop in them: what a compositor needs of an avatar, without one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from talkcli.avatar import Stance


@dataclass
class Place:
    crop_x: float = 0
    crop_y: float = 0
    crop_side: float = 64


@dataclass
class Picture:
    source: np.ndarray
    plate: np.ndarray
    frame: Place = field(default_factory=Place)
    torso: np.ndarray | None = None
    behind: np.ndarray | None = None
    stance: Stance | None = None


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    rgba = np.random.default_rng(seed).integers(0, 256, (height, width, 4)).astype(np.uint8)
    rgba[..., 3] = 255
    return rgba


def crop_of(source: np.ndarray, place: Place) -> np.ndarray:
    """The crop as an avatar cuts it, at the picture's resolution, padded by replication."""
    h, w = source.shape[:2]
    rows = np.clip(np.arange(int(place.crop_side)) + int(place.crop_y), 0, h - 1)
    columns = np.clip(np.arange(int(place.crop_side)) + int(place.crop_x), 0, w - 1)
    return source[rows][:, columns, :3].astype(np.float32) / 255


def portrait(height: int = 96, width: int = 128, place: Place | None = None) -> Picture:
    place = place or Place(40, 10, 64)
    source = noise(height, width)
    return Picture(source, crop_of(source, place), place)
