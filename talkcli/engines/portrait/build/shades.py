"""Sunglasses: eyes that the picture does not show must not blink.

A lid drawn on a dark lens is the first thing that anyone sees of a film. What tells lenses from
eyes in shadow is not one figure but three: they are darker than the cheek, of another tint, and
show no white beside the iris.
"""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.engines.portrait.build.geometry import HeadGeometry
from talkcli.engines.portrait.build.images import filled
from talkcli.face.topology import EYE_LEFT, EYE_RIGHT, Eye
from talkcli.types import ARKIT_NAMES

#: Both lenses are darker than this share of the cheek below, and their scores (see :func:`_score`)
#: are higher than this. Of 1,355 portraits, 23 with sunglasses, 12 of these and no other are found;
#: of bare eyes, the highest score is 1.17, of a face squinting against the light.
_DARK, _LEAST_SCORE = 0.65, 1.25
#: In profile, the far eye is a guess: eyes whose widths differ by more than this tell nothing.
_NARROWER = 0.5
#: How much tint and the white of the eye count beside the logarithm of the darkness.
_TINT, _WHITE = 1.5, 1.5
#: What is compared: below the eye from the first to the second distance, and a disc on the cheek
#: of this radius about the mean of four vertices, in widths of the eye.
_BELOW, _CHEEK = (0.15, 0.42), 0.25
_CHEEK_RIGHT, _CHEEK_LEFT = (50, 101, 118, 205), (280, 330, 347, 425)
#: Fewer pixels of a region tell nothing.
_FEWEST = 4
_BLACK = 0.02

#: The shapes of lids and gaze, which nobody sees behind a lens.
EYE_SHAPES = [
    k
    for k, name in enumerate(ARKIT_NAMES)
    if name.startswith(("eyeBlink", "eyeLook", "eyeSquint", "eyeWide"))
]


def behind_shades(rgb: np.ndarray, geometry: HeadGeometry) -> bool:
    """Whether both eyes are behind dark lenses.

    Args:
        rgb: ``[S, S, 3]`` float32 crop, 0–1.
        geometry: the measured head.
    """
    widths = [_width(geometry.landmarks, eye) for eye in (EYE_RIGHT, EYE_LEFT)]
    if min(widths) < _NARROWER * max(widths):
        return False
    soft = cv2.GaussianBlur(rgb, (0, 0), max(0.6, 0.004 * geometry.face_height))
    return all(
        _score(soft, geometry.landmarks, eye, cheek) > _LEAST_SCORE
        for eye, cheek in ((EYE_RIGHT, _CHEEK_RIGHT), (EYE_LEFT, _CHEEK_LEFT))
    )


def _width(points: np.ndarray, eye: Eye) -> float:
    return float(np.linalg.norm(np.subtract(*points[list(eye.corners)])))


def _score(rgb: np.ndarray, points: np.ndarray, eye: Eye, cheek: tuple[int, ...]) -> float:
    """How much like a dark lens the surroundings of an eye are; -inf if they are not dark."""
    upper, lower = points[list(eye.upper)], points[list(eye.lower)]
    width = _width(points, eye)
    up = points[list(eye.upper_ring)].mean(0) - lower.mean(0)
    up /= np.linalg.norm(up) + 1e-6
    near, far = (lower - up * share * width for share in _BELOW)
    below = _inside(rgb, np.concatenate([near, far[::-1]]))
    disc = _disc(rgb, points[list(cheek)].mean(0), _CHEEK * width)
    if min(len(below), len(disc)) < _FEWEST:
        return -np.inf
    lens, skin = (np.median(pixels, axis=0) + _BLACK for pixels in (below, disc))
    dark = float(lens.mean() / skin.mean())
    if dark > _DARK:
        return -np.inf
    tint = float(np.abs(np.log(lens / lens[1]) - np.log(skin / skin[1])).max())
    opening = _inside(rgb, np.concatenate([upper, lower[::-1]])).mean(-1)
    white = 0.0
    if len(opening) >= _FEWEST:
        # The white of an eye is brighter than its iris, whatever the light.
        white = float(np.subtract(*np.quantile(opening, (0.85, 0.2))) / skin.mean())
    return float(-np.log(dark) + _TINT * tint - _WHITE * white)


def _inside(rgb: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """``[n, 3]`` the pixels in an outline ``[k, 2]``."""
    return np.asarray(rgb[filled(outline - 0.5, rgb.shape)])


def _disc(rgb: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
    mask = np.zeros(rgb.shape[:2], np.uint8)
    cv2.circle(mask, tuple(int(v) for v in np.round(centre - 0.5)), max(1, round(radius)), 1, -1)
    return np.asarray(rgb[mask > 0])
