"""Light in and on the mouth: how colours change as the lips part."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from talkcli.engines.portrait.lips import lip_side
from talkcli.engines.portrait.splats import Layer, RestSplats
from talkcli.face.topology import INNER_CORNERS, INNER_LOWER, INNER_UPPER
from talkcli.imaging import smoothstep
from talkcli.shapes import Float, Int32, Integer

#: What the lips keep the light from.
INSIDE_MOUTH = (Layer.UPPER_TEETH, Layer.LOWER_TEETH, Layer.TONGUE)
#: Lips shade each other where they touch; this far away (cm) they show their true colour.
CONTACT_CM = 0.3
#: Share of the shade that parting removes from the upper and the lower lip. Light comes from above:
#: over 44 speakers the edge of an open lower lip has .9 of the skin's brightness, the upper's .6.
_LIFTED = {1: 0.35, -1: 1.0}
#: Lips this much further apart than in the source (cm) no longer shade each other.
_PARTED_CM = 0.5


@dataclass(frozen=True)
class ContactShade:
    """The light that the lips lack where they touch in the source.

    Attributes:
        index: ``[k]`` int32 splats near the line between the lips.
        shade: ``[k, 3]`` float32 how much brighter each becomes once the lips are parted.
    """

    index: Integer[np.ndarray, " k"]
    shade: Float[np.ndarray, "k 3"]

    @staticmethod
    def none() -> ContactShade:
        """The shade of lips that do not shade each other."""
        return ContactShade(np.zeros(0, np.int32), np.zeros((0, 3), np.float32))


def mouth_light(face: Float[np.ndarray, "478 3"]) -> float:
    """Share of light that reaches teeth and tongue of a face ``[478, 3]`` in cm.

    The less the lips let in, the darker they are.
    """
    return _light_between(_gaps(face))


class MouthLight:
    """Colours of teeth, tongue and lips for any opening of the mouth.

    Args:
        splats: the avatar's splats, at the source's expression.
        vertices: ``[478, 3]`` the source's face, head frame.
        contact: shade of the lips in the source.
    """

    def __init__(
        self, splats: RestSplats, vertices: Float[np.ndarray, "478 3"], contact: ContactShade
    ) -> None:
        self._source_gaps = _gaps(vertices)
        self._inside = np.flatnonzero(np.isin(splats.layers, INSIDE_MOUTH))
        self._inside_colors = splats.colors[self._inside]
        self._lips, self._shade = contact.index, contact.shade
        self._lip_colors = splats.colors[self._lips]
        right, left = vertices[list(INNER_CORNERS), 0]
        across = splats.positions[self._lips, 0] - right
        self._along = np.clip(across / max(float(left - right), 1e-3), 0, 1)

    def apply(self, colors: Float[np.ndarray, "N 3"], face: Float[np.ndarray, "478 3"]) -> None:
        """Write the colours of the splats in and on the mouth.

        Args:
            colors: ``[N, 3]`` colours of all splats, changed in place.
            face: ``[478, 3]`` the face in its current expression.
        """
        gaps = _gaps(face)
        colors[self._inside] = self._inside_colors * np.float32(_light_between(gaps))
        parted = smoothstep(np.maximum(gaps - self._source_gaps, 0) / _PARTED_CM)
        share = np.interp(self._along, np.linspace(0, 1, len(parted)), parted)
        lit = share[:, None].astype(np.float32) * self._shade
        colors[self._lips] = self._lip_colors + lit


def find_contact_shade(
    splats: RestSplats,
    viewmat: Float[np.ndarray, "4 4"],
    K: Float[np.ndarray, "3 3"],
    reach_cm: float = CONTACT_CM,
) -> ContactShade:
    """Find the shade by comparing the lips beside their line with the lips further away from it.

    Args:
        splats: the avatar's splats, with colours as the source shows them.
        viewmat: ``[4, 4]`` world to the source camera.
        K: ``[3, 3]`` intrinsics in pixels of the crop.
        reach_cm: how far from the line the lips show their true colour.
    """
    side = lip_side(splats.vertices, splats.weights)
    chosen = np.flatnonzero((splats.layers == Layer.SKIN) & (side != 0))
    if not (np.any(side[chosen] > 0) and np.any(side[chosen] < 0)):
        return ContactShade.none()
    pixels = source_pixels(splats.positions[chosen], viewmat, K)
    rows, columns = (pixels - pixels.min(0)).T
    lips = np.zeros((rows.max() + 1, columns.max() + 1), np.int8)
    lips[rows, columns] = side[chosen]
    picture = np.zeros((*lips.shape, 3), np.float32)
    picture[rows, columns] = splats.colors[chosen]
    shade = np.zeros_like(picture)
    # A pixel at the face: the camera's distance in centimetres over its focal length in pixels.
    reach = reach_cm * float(K[0, 0] / np.linalg.norm(viewmat[:3, 3]))
    for sign, share in _LIFTED.items():
        own, other = lips == sign, lips == -sign
        place = np.argwhere(own)
        away = place - _nearest(other)[own]
        distance = np.linalg.norm(away, axis=1, keepdims=True)
        near = distance[:, 0] < reach
        place, away, distance = place[near], away[near], distance[near]
        target = place + away / distance * (reach - distance)
        # Beyond the lip, its last row is used.
        target = np.clip(np.round(target).astype(int), 0, np.array(lips.shape) - 1)
        target = _nearest(own)[target[:, 0], target[:, 1]]
        smooth = _smooth_within(picture, own, 0.25 * reach)
        bright = smooth[target[:, 0], target[:, 1]]
        row, column = place.T
        missing = bright - smooth[row, column]
        shade[row, column] = share * missing * (missing.mean(1, keepdims=True) > 0)
    lifted = shade[rows, columns]
    used = np.any(lifted != 0, 1)
    return ContactShade(chosen[used].astype(np.int32), lifted[used])


def source_pixels(
    positions: Float[np.ndarray, "n 3"],
    viewmat: Float[np.ndarray, "4 4"],
    K: Float[np.ndarray, "3 3"],
) -> Int32[np.ndarray, "n 2"]:
    """``[n, 2]`` row and column of the crop pixels that splats ``positions [n, 3]`` came from.

    A pixel's splat lies on the ray through its centre, half a pixel from where rounding could
    assign it to a neighbour. Splats that came from no pixel get the pixel whose ray they lie on.
    """
    seen = (positions @ viewmat[:3, :3].T + viewmat[:3, 3]) @ K.T
    return np.asarray(np.floor(seen[:, [1, 0]] / seen[:, 2:]), np.int32)


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


def _light_between(gaps: np.ndarray) -> float:
    return min(1.0, 0.66 + max(0.0, float(gaps[len(gaps) // 2])) / 4.0)


def _gaps(face: np.ndarray) -> np.ndarray:
    """``[11]`` opening from the right to the left inner corner, cm."""
    inner = face[list(INNER_UPPER), 1] - face[list(INNER_LOWER), 1]
    return np.asarray(np.concatenate([[0.0], inner, [0.0]]))
