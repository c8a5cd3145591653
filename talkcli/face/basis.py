"""The ARKit shapes of one person's face: the model's, retargeted, with lids and lips that meet.

Lengths are centimetres in the head frame (x to the subject's left, y up, z out). The shapes of the
mean face come from ``talkcli train face`` (docs/face_model.md). A person's own shapes follow from
how the mean face stretches around each vertex when deformed into the person's; then the lids are
made to touch in ``eyeBlink``, and the lips in ``jawOpen`` + ``mouthClose``.
"""

from __future__ import annotations

import numpy as np

from talkcli.face.harmonic import HarmonicExtension
from talkcli.face.model import FaceModel
from talkcli.face.topology import (
    EYE_LEFT,
    EYE_RIGHT,
    FACE_OVAL,
    INNER_LOWER,
    INNER_UPPER,
    LIP_CORNERS,
    LIP_LOWER_ROWS,
    LIP_UPPER_ROWS,
    Eye,
)
from talkcli.shapes import Float
from talkcli.types import ARKIT_NAMES

_UPPER_LIP, _LOWER_LIP = list(INNER_UPPER), list(INNER_LOWER)
_UPPER_LIDS = [*EYE_LEFT.upper, *EYE_RIGHT.upper]
_LOWER_LIDS = [*EYE_LEFT.lower, *EYE_RIGHT.lower]
_UPPER_RINGS = [*EYE_LEFT.upper_ring, *EYE_RIGHT.upper_ring]
#: Share of a lip gap that the lower lip closes: it follows the jaw, the upper lip hardly moves.
LOWER_SHARE = 0.65
#: Shares of the opening by which the upper lid moves down and the lower lid up in a blink, together
#: slightly more than all of it. In 173 clips, lids move by 0.75 and 0.10 to close (medians).
UPPER_LID, LOWER_LID = 0.94, 0.12
#: ``eyeWide`` opens the lids by this share of their travel in a blink.
_WIDE = 0.3
#: The hinge of the jaw: an axis along x through the joints in front of the ears.
JAW_PIVOT = np.array([0.0, -5.4, -4.5])
#: Distance over which the stretch between two faces is measured, centimetres: the size of a mouth.
#: With a smaller one, thin lips would open less.
_STRETCH_CM = 4.0
#: No stretch is transferred in directions where the neighbourhood is thinner than this (cm, rms).
_THIN_CM = 0.8
#: A face that is locally larger or smaller than the mean by more than this is a measurement error.
_MOST_STRETCH = 1.5


def expression_basis(
    vertices: Float[np.ndarray, "478 3"], extend: HarmonicExtension
) -> Float[np.ndarray, "52 478 3"]:
    """``[52, 478, 3]`` displacement (cm) of every ARKit shape at weight 1 for a neutral face.

    Args:
        vertices: ``[478, 3]`` neutral face in the head frame, mouth closed.
        extend: harmonic extension over the same mesh.
    """
    model = FaceModel.load()
    stretch = local_stretch(model.vertices, vertices)
    basis = np.einsum("vij,evj->evi", stretch, model.basis.astype(float))
    return touching(basis, vertices, extend)


def touching(
    basis: Float[np.ndarray, "52 478 3"],
    vertices: Float[np.ndarray, "478 3"],
    extend: HarmonicExtension,
) -> Float[np.ndarray, "52 478 3"]:
    """Make the lids and lips of a basis meet, given the openings of this face.

    ``eyeBlink`` and ``eyeWide`` are derived from the eyes' openings, ``mouthClose`` from the mouth
    at ``jawOpen``; whole lips move, so that none is stretched.

    Args:
        basis: ``[52, 478, 3]``, centimetres.
        vertices: ``[478, 3]`` neutral face, mouth closed.
        extend: harmonic extension over the same mesh.
    """
    basis = basis.copy()
    opened, closing = (ARKIT_NAMES.index(name) for name in ("jawOpen", "mouthClose"))
    basis[closing] = close_lips(vertices + basis[opened], extend)
    for side, eye in (("Left", EYE_LEFT), ("Right", EYE_RIGHT)):
        blink = close_eye(vertices, eye, extend)
        basis[ARKIT_NAMES.index(f"eyeBlink{side}")] = blink
        basis[ARKIT_NAMES.index(f"eyeWide{side}")] = -_WIDE * blink
    return basis


def local_stretch(
    source: Float[np.ndarray, "478 3"], target: Float[np.ndarray, "478 3"]
) -> Float[np.ndarray, "478 3 3"]:
    """``[478, 3, 3]`` linear map of the deformation from one face to another, at each vertex.

    Least squares over the neighbours, weighted by a Gaussian. Across the surface there is little to
    measure: the thinner the neighbourhood, the closer the map is to the identity.

    Args:
        source: ``[478, 3]``.
        target: ``[478, 3]``, aligned with it by the rigid vertices.
    """
    surface = np.asarray(source[:468], float)
    squares = (surface**2).sum(1)
    apart = squares[:, None] + squares - 2 * surface @ surface.T  # squared
    weights = np.exp(-apart / _STRETCH_CM**2)
    weights /= weights.sum(1, keepdims=True)

    def covariance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        mean_a, mean_b = weights @ a, weights @ b
        products = (weights @ (a[:, :, None] * b[:, None]).reshape(468, 9)).reshape(468, 3, 3)
        return np.asarray(products - mean_a[:, :, None] * mean_b[:, None])

    floor = _THIN_CM**2 * np.eye(3)
    spread = covariance(surface, surface) + floor
    across = covariance(np.asarray(target[:468], float), surface) + floor
    u, sizes, vt = np.linalg.svd(across @ np.linalg.inv(spread))
    stretch = np.tile(np.eye(3), (478, 1, 1))
    sizes = np.clip(sizes, 1 / _MOST_STRETCH, _MOST_STRETCH)
    stretch[:468] = np.einsum("vij,vj,vjk->vik", u, sizes, vt)
    return stretch


def close_lips(
    vertices: Float[np.ndarray, "478 3"], extend: HarmonicExtension
) -> Float[np.ndarray, "478 3"]:
    """``[478, 3]`` displacement (cm) that brings the inner lip lines together."""
    moved = {v: np.zeros(3) for v in _lip_anchors(vertices)}
    for k, (upper, lower) in enumerate(zip(INNER_UPPER, INNER_LOWER, strict=True)):
        gap = vertices[upper] - vertices[lower]
        moved |= {row[k]: -gap * (1 - LOWER_SHARE) for row in LIP_UPPER_ROWS}
        moved |= {row[k]: gap * LOWER_SHARE for row in LIP_LOWER_ROWS}
    moved |= {v: np.zeros(3) for v in LIP_CORNERS}
    return extend(moved)


def _lip_anchors(vertices: np.ndarray) -> list[int]:
    above = np.flatnonzero(vertices[:468, 1] > 0.2)
    return [*map(int, above), *FACE_OVAL, 4, 5, 195, 1]


def close_eye(
    vertices: Float[np.ndarray, "478 3"], eye: Eye, extend: HarmonicExtension
) -> Float[np.ndarray, "478 3"]:
    """``[478, 3]`` displacement (cm) of a full blink: the lids' rims meet, the corners stay."""
    moved: dict[int, np.ndarray] = {}
    for k, (upper, lower) in enumerate(zip(eye.upper, eye.lower, strict=True)):
        opening = vertices[lower] - vertices[upper]
        moved[upper] = opening * UPPER_LID
        moved[lower] = -opening * LOWER_LID
        # The surrounding skin follows the lids about half way.
        moved[eye.upper_ring[k]] = 0.48 * moved[upper]
        moved[eye.lower_ring[k]] = 0.42 * moved[lower]
    centre = vertices[list(eye.rim)].mean(0)
    reach = 0.85 * np.linalg.norm(vertices[eye.corners[0]] - vertices[eye.corners[1]])
    far = np.flatnonzero(np.linalg.norm((vertices[:468] - centre)[:, :2], axis=1) > reach)
    still = {int(v): np.zeros(3) for v in far if int(v) not in moved}
    return extend({**moved, **{v: np.zeros(3) for v in eye.corners}, **still})


def jaw_arc(
    vertices: Float[np.ndarray, "478 3"], basis: Float[np.ndarray, "52 478 3"]
) -> Float[np.ndarray, "478 3"]:
    """``[478, 3]`` cm: how the jaw's arc differs from the chord that ``jawOpen`` moves along.

    A point that turns by an angle a about the hinge follows an arc; a shape's weight w moves it
    along the chord. To second order in a, the arc lies ``w (1 - w) / 2 · a² · r`` outside the
    chord, where r is the lever. ``w (1 - w)`` times this field is to be added to the face.

    Args:
        vertices: ``[478, 3]`` neutral face.
        basis: ``[52, 478, 3]``.
    """
    opened = basis[ARKIT_NAMES.index("jawOpen")]
    lever = (vertices - JAW_PIVOT) * (0.0, 1.0, 1.0)
    radius = np.maximum(np.linalg.norm(lever, axis=1, keepdims=True), 1.0)
    travel = np.linalg.norm(opened[:, 1:], axis=1, keepdims=True)
    return np.asarray(0.5 * travel**2 / radius**2 * lever)


def keep_apart(moved: Float[np.ndarray, "478 3"], vertices: Float[np.ndarray, "478 3"]) -> None:
    """Keep lips and lids from passing through each other: where they would, they meet.

    Args:
        moved: ``[478, 3]`` displacement, changed in place.
        vertices: ``[478, 3]`` face at rest.
    """
    height, rest = vertices[:, 1] + moved[:, 1], vertices[:, 1]
    overlap = height[_LOWER_LIP] - height[_UPPER_LIP]
    if overlap.max() > 0:
        overlap = np.maximum(0, overlap)
        for row in LIP_UPPER_ROWS:
            moved[list(row), 1] += (1 - LOWER_SHARE) * overlap
        for row in LIP_LOWER_ROWS:
            moved[list(row), 1] -= LOWER_SHARE * overlap
    opening = rest[_UPPER_LIDS] - rest[_LOWER_LIDS]
    beyond = height[_LOWER_LIDS] - height[_UPPER_LIDS]
    beyond -= (UPPER_LID + LOWER_LID - 1) * opening
    if beyond.max() > 0:
        beyond = np.maximum(0, beyond)
        moved[_UPPER_LIDS, 1] += beyond
        moved[_UPPER_RINGS, 1] += 0.48 * beyond
