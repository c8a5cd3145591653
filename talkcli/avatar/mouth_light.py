"""Light in and on the mouth: how colours change as the lips part."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from talkcli.portrait.mouth import lip_side
from talkcli.portrait.splats import Layer, SplatArrays
from talkcli.tracking.matting import smoothstep
from talkcli.tracking.topology import INNER_CORNERS, INNER_LOWER, INNER_UPPER

_INSIDE_MOUTH = (Layer.UPPER_TEETH, Layer.LOWER_TEETH, Layer.TONGUE)
#: Lips shade each other where they touch; this far away (cm) they show their own colour.
_CONTACT_CM = 0.3
#: Share of the shade that parting takes from the upper and the lower lip. Light comes from above:
#: over 44 speakers the open lower lip's edge is .9 of the skin's brightness, the upper's .6.
_LIFTED = {1: 0.35, -1: 1.0}
#: Lips this much further apart than in the source (cm) shade each other no more.
_PARTED_CM = 0.5


class MouthLight:
    """Colours of teeth, tongue and lips for a given opening.

    Args:
        splats: the avatar's, at the source's expression.
        vertices: ``[478, 3]`` the source's face, head frame.
        pixel_cm: size of a crop pixel at the face.
    """

    def __init__(self, splats: SplatArrays, vertices: np.ndarray, pixel_cm: float) -> None:
        self._splats, self._pixel_cm = splats, pixel_cm
        self._source_gaps = _gaps(vertices)
        self._corners = vertices[list(INNER_CORNERS), 0]
        self._inside = np.flatnonzero(np.isin(splats.layers, _INSIDE_MOUTH))
        self._inside_colors = splats.colors[self._inside]
        self._lips: _Lips | None = None

    def apply(self, colors: np.ndarray, face: np.ndarray) -> None:
        """Write the colours of all splats concerned.

        Args:
            colors: ``[N, 3]`` of all splats, changed in place.
            face: ``[478, 3]`` the face as it stands.
        """
        gaps = _gaps(face)
        # Teeth and tongue are darker the less light the lips let in.
        light = min(1.0, 0.66 + max(0.0, float(gaps[len(gaps) // 2])) / 4.0)
        colors[self._inside] = self._inside_colors * np.float32(light)
        parted = smoothstep(np.maximum(gaps - self._source_gaps, 0) / _PARTED_CM)
        # Not before lips part: the colour fit looks at the source alone, again and again.
        if self._lips is None and parted.any():
            self._lips = self._find_lips()
        if self._lips is not None:
            lips = self._lips
            share = np.interp(lips.along, np.linspace(0, 1, len(parted)), parted)
            colors[lips.index] = lips.colors + share[:, None].astype(np.float32) * lips.shade

    def _find_lips(self) -> _Lips:
        index, shade = contact_shade(self._splats, self._pixel_cm)
        right, left = self._corners
        x = self._splats.positions[index, 0]
        along = np.clip((x - right) / max(float(left - right), 1e-3), 0, 1)
        return _Lips(index, self._splats.colors[index], shade, along)


@dataclass(frozen=True)
class _Lips:
    """Splats near the line between the lips: their colours, shade and place across the mouth."""

    index: np.ndarray
    colors: np.ndarray
    shade: np.ndarray
    along: np.ndarray


def contact_shade(splats: SplatArrays, pixel_cm: float) -> tuple[np.ndarray, np.ndarray]:
    """What the lips lack in light where they touch, in the source.

    Args:
        splats: the avatar's.
        pixel_cm: size of a crop pixel at the face.

    Returns:
        ``[n]`` indices of splats near the line between the lips and ``[n, 3]`` float32 by how much
        brighter the same lip is further away from it.
    """
    side = lip_side(splats.vertices, splats.weights)
    chosen = np.flatnonzero(
        (splats.layers == Layer.SKIN) & (splats.pixels[:, 0] >= 0) & (side != 0)
    )
    none = np.zeros(0, int), np.zeros((0, 3), np.float32)
    if not (np.any(side[chosen] > 0) and np.any(side[chosen] < 0)):
        return none
    origin = splats.pixels[chosen].min(0)
    rows, columns = (splats.pixels[chosen] - origin).T
    lips = np.zeros((rows.max() + 1, columns.max() + 1), np.int8)
    lips[rows, columns] = side[chosen]
    picture = np.zeros((*lips.shape, 3), np.float32)
    picture[rows, columns] = splats.colors[chosen]
    shade = np.zeros_like(picture)
    reach = _CONTACT_CM / pixel_cm
    for sign, share in _LIFTED.items():
        own, other = lips == sign, lips == -sign
        place = np.argwhere(own)
        away = place - _nearest(other)[own]
        distance = np.linalg.norm(away, axis=1, keepdims=True)
        near = distance[:, 0] < reach
        place, away, distance = place[near], away[near], distance[near]
        target = place + away / distance * (reach - distance)
        # Beyond the lip its own last row is taken.
        target = np.clip(np.round(target).astype(int), 0, np.array(lips.shape) - 1)
        target = _nearest(own)[target[:, 0], target[:, 1]]
        smooth = _smooth_within(picture, own, 0.25 * reach)
        bright = smooth[target[:, 0], target[:, 1]]
        row, column = place.T
        missing = bright - smooth[row, column]
        shade[row, column] = share * missing * (missing.mean(1, keepdims=True) > 0)
    lifted = shade[rows, columns]
    used = np.any(lifted != 0, 1)
    return chosen[used], lifted[used]


def _nearest(mask: np.ndarray) -> np.ndarray:
    """``[H, W, 2]`` row and column of the nearest pixel of a mask ``[H, W]``."""
    _, labels = cv2.distanceTransformWithLabels(
        (~mask).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    places = np.zeros((labels.max() + 1, 2), int)
    places[labels[mask]] = np.argwhere(mask)
    return np.asarray(places[labels])


def _smooth_within(picture: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    weight = mask.astype(np.float32)
    weighted, weight = (
        cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        for image in (picture * weight[..., None], weight)
    )
    return np.asarray(weighted / np.maximum(weight, 1e-3)[..., None])


def _gaps(face: np.ndarray) -> np.ndarray:
    """``[11]`` opening from the right to the left inner corner, cm."""
    inner = face[list(INNER_UPPER), 1] - face[list(INNER_LOWER), 1]
    return np.asarray(np.concatenate([[0.0], inner, [0.0]]))
