"""A hand-made ARKit basis on the 478-vertex topology: each shape from a few moved vertices.

Lengths are centimetres in the head frame (x to the subject's left, y up, z out). The numbers were
set by eye and against landmarks of real speech, of whose weighted lip motion these shapes explain
91–94 %. Shapes come left and right of a soft midline, so that both halves add up to the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from talkcli.tracking.harmonic import HarmonicExtension
from talkcli.tracking.topology import (
    BROW_LEFT,
    BROW_RIGHT,
    CHIN,
    EYE_LEFT,
    EYE_RIGHT,
    FACE_OVAL,
    INNER_LOWER,
    INNER_UPPER,
    LIP_CORNERS,
    LIP_LOWER,
    LIP_LOWER_ROWS,
    LIP_UPPER,
    LIP_UPPER_ROWS,
    LIPS,
    NOSE,
    Eye,
)
from talkcli.types import ARKIT_NAMES

#: Jaw rotation at jawOpen = 1, about an axis near the ears. Natural speech stays below half of it.
JAW_OPEN_DEG = 18.0
_JAW_PIVOT = np.array([0.0, -5.4, -4.5])
#: Of a lip gap the lower lip closes this share: the jaw follows it, the upper lip hardly moves.
LOWER_SHARE = 0.65

LipMotion = Callable[[int], tuple[float, float, float]]


def expression_basis(vertices: np.ndarray, extend: HarmonicExtension) -> np.ndarray:
    """``[52, 478, 3]`` displacement (cm) of every ARKit shape at weight 1 for a neutral face.

    Args:
        vertices: ``[478, 3]`` neutral face in the head frame, mouth closed.
        extend: harmonic extension over the same mesh.
    """
    shapes = {**_jaw_shapes(vertices, extend), **_lip_shapes(vertices, extend)}
    shapes |= _upper_face_shapes(vertices, extend)
    shapes["mouthClose"] = close_lips(vertices + shapes["jawOpen"], extend)
    for side, eye in (("Left", EYE_LEFT), ("Right", EYE_RIGHT)):
        blink = close_eye(vertices, eye, extend)
        shapes[f"eyeBlink{side}"] = blink
        shapes[f"eyeSquint{side}"] = 0.3 * blink + shapes.pop(f"_cheekLift{side}")
        shapes[f"eyeWide{side}"] = -0.3 * blink
        # The upper lid follows the eye: a third of a blink when looking fully down.
        shapes[f"eyeLookDown{side}"] = 0.33 * blink
        shapes[f"eyeLookUp{side}"] = -0.12 * blink
    basis = np.zeros((len(ARKIT_NAMES), 478, 3))
    for name, shape in shapes.items():
        basis[ARKIT_NAMES.index(name)] = shape
    return basis


def close_lips(vertices: np.ndarray, extend: HarmonicExtension) -> np.ndarray:
    """``[478, 3]`` displacement (cm) that brings the inner lip lines together."""
    moved = {v: np.zeros(3) for v in _lip_anchors(vertices)}
    for k, (upper, lower) in enumerate(zip(INNER_UPPER, INNER_LOWER, strict=True)):
        gap = vertices[upper] - vertices[lower]
        if gap[1] < 0:
            gap = np.zeros(3)
        moved |= {row[k]: -gap * (1 - LOWER_SHARE) for row in LIP_UPPER_ROWS}
        moved |= {row[k]: gap * LOWER_SHARE for row in LIP_LOWER_ROWS}
    moved |= {v: np.zeros(3) for v in LIP_CORNERS}
    return extend(moved)


def close_eye(vertices: np.ndarray, eye: Eye, extend: HarmonicExtension) -> np.ndarray:
    """``[478, 3]`` displacement (cm) of a full blink: the upper lid travels 94 % of the opening."""
    moved: dict[int, np.ndarray] = {}
    for k, (upper, lower) in enumerate(zip(eye.upper, eye.lower, strict=True)):
        opening = vertices[lower] - vertices[upper]
        moved[upper] = opening * 0.94
        moved[lower] = -opening * 0.12
        moved[eye.upper_ring[k]] = opening * 0.45
        moved[eye.lower_ring[k]] = -opening * 0.05
    centre = vertices[list(eye.rim)].mean(0)
    reach = 0.85 * np.linalg.norm(vertices[eye.corners[0]] - vertices[eye.corners[1]])
    far = np.flatnonzero(np.linalg.norm((vertices[:468] - centre)[:, :2], axis=1) > reach)
    still = {int(v): np.zeros(3) for v in far if int(v) not in moved}
    return extend({**moved, **{v: np.zeros(3) for v in eye.corners}, **still})


def jaw_weights(vertices: np.ndarray, extend: HarmonicExtension) -> np.ndarray:
    """``[478]`` share of the jaw's turn: 1 at chin and lower lip, 0 from the nose up."""
    half_width = abs(vertices[61, 0])
    weights = dict.fromkeys((*NOSE, 234, 454, 93, 323), 0.0)
    weights |= {int(v): 0.0 for v in np.flatnonzero(vertices[:468, 1] > -0.5)}
    # The oval turns with the jaw from the chin up to the ears; measured on open-mouthed clips.
    for right, left, weight in (
        (132, 361, 0.2), (58, 288, 0.45), (172, 397, 0.7), (136, 365, 0.85), (150, 379, 0.95),
        (149, 378, 1.0),
    ):  # fmt: skip
        weights |= {right: weight, left: weight}
    weights |= dict.fromkeys(CHIN, 1.0)
    for v in LIP_LOWER:
        weights[v] = 1 - 0.58 * min(1.0, abs(vertices[v, 0]) / half_width) ** 3
    for v in LIP_UPPER:
        weights[v] = 0.38 * min(1.0, abs(vertices[v, 0]) / half_width) ** 4
    weights |= dict.fromkeys(LIP_CORNERS, 0.42)
    return extend(weights)


def _jaw_shapes(vertices: np.ndarray, extend: HarmonicExtension) -> dict[str, np.ndarray]:
    weights = jaw_weights(vertices, extend)[:, None]
    angle = np.radians(JAW_OPEN_DEG)
    cos, sin = np.cos(angle), np.sin(angle)
    opened = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    turned = (vertices - _JAW_PIVOT) @ opened.T + _JAW_PIVOT - vertices
    return {
        "jawOpen": weights * turned,
        "jawForward": weights * (0.0, 0.0, 0.6),
        "jawLeft": weights * (0.8, 0.0, 0.0),
        "jawRight": weights * (-0.8, 0.0, 0.0),
    }


def _lip_anchors(vertices: np.ndarray) -> list[int]:
    above = np.flatnonzero(vertices[:468, 1] > 0.2)
    return [*map(int, above), *FACE_OVAL, 4, 5, 195, 1]


def _lip_shapes(vertices: np.ndarray, extend: HarmonicExtension) -> dict[str, np.ndarray]:
    mid_y = (vertices[13, 1] + vertices[14, 1]) / 2
    half_width = abs(vertices[61, 0])
    x, dy = vertices[:, 0], vertices[:, 1] - mid_y
    # 0 at the middle of the lips, 1 at the corners.
    out = np.minimum(1.0, np.abs(x) / half_width)
    upper, lower = set(LIP_UPPER), set(LIP_LOWER)
    vertical = np.array([1.0 if v in upper else -1.0 if v in lower else 0.0 for v in range(478)])
    is_upper, is_lower = vertical > 0, vertical < 0
    middle = 1 - 0.6 * out**2

    both: dict[str, LipMotion] = {
        "mouthFunnel": lambda v: (-0.30 * x[v], 0.45 * vertical[v] * (1 - out[v] ** 2), 0.7),
        "mouthPucker": lambda v: (-0.42 * x[v], 0.25 * dy[v], 1.0 - 0.2 * out[v]),
        "mouthLeft": lambda v: (0.7, 0.0, 0.0),
        "mouthRight": lambda v: (-0.7, 0.0, 0.0),
        "mouthRollUpper": lambda v: (0.0, -0.22 * is_upper[v], -0.28 * is_upper[v] * middle[v]),
        "mouthRollLower": lambda v: (0.0, 0.22 * is_lower[v], -0.28 * is_lower[v] * middle[v]),
        "mouthShrugUpper": lambda v: (0.0, 0.30 * is_upper[v] * middle[v], 0.15 * is_upper[v]),
        "mouthShrugLower": lambda v: (0.0, 0.30 * is_lower[v] * middle[v], 0.2 * is_lower[v]),
    }
    sided: dict[str, LipMotion] = {
        "mouthSmile": lambda v: (0.20 * x[v], 0.75 * out[v] ** 2, -0.35 * out[v] ** 2),
        "mouthFrown": lambda v: (0.04 * x[v], -0.60 * out[v] ** 2, -0.10 * out[v] ** 2),
        "mouthDimple": lambda v: (0.12 * x[v], 0.12 * out[v] ** 2, -0.40 * out[v] ** 2),
        "mouthStretch": lambda v: (0.22 * x[v], -0.08 * dy[v], -0.35 * out[v] ** 2),
        "mouthPress": lambda v: (0.0, -0.35 * dy[v], -0.25),
        "mouthLowerDown": lambda v: (0.0, -0.50 * is_lower[v] * middle[v], 0.0),
        "mouthUpperUp": lambda v: (0.0, 0.55 * is_upper[v] * middle[v], 0.05 * is_upper[v]),
    }
    shapes = {name: _extend_lips(vertices, extend, motion) for name, motion in both.items()}
    for name, motion in sided.items():
        shapes |= _split(name, _extend_lips(vertices, extend, motion), vertices)
    return shapes


def _extend_lips(vertices: np.ndarray, extend: HarmonicExtension, motion: LipMotion) -> np.ndarray:
    still = {v: np.zeros(3) for v in _lip_anchors(vertices)}
    return extend({**still, **{v: np.array(motion(v), float) for v in LIPS}})


def _upper_face_shapes(vertices: np.ndarray, extend: HarmonicExtension) -> dict[str, np.ndarray]:
    eyes = EYE_LEFT.rim + EYE_RIGHT.rim
    below = [int(v) for v in np.flatnonzero(vertices[:468, 1] < 1.2)]
    anchors = {v: np.zeros(3) for v in (*below, *FACE_OVAL, *eyes)}
    brows = [v for v in BROW_LEFT + BROW_RIGHT if v not in anchors]

    def brow(move: Callable[[float], tuple[float, float, float]]) -> np.ndarray:
        inner_to_outer = {v: min(1.0, max(0.0, (abs(vertices[v, 0]) - 1.5) / 4.0)) for v in brows}
        return extend({**anchors, **{v: np.array(move(t)) for v, t in inner_to_outer.items()}})

    shapes = {"browInnerUp": brow(lambda t: (0.0, 0.9 * (1 - t) ** 1.5, 0.0))}
    shapes |= _split("browOuterUp", brow(lambda t: (0.0, 0.8 * t, 0.0)), vertices)
    shapes |= _split("browDown", brow(lambda t: (0.0, -0.55 * (1 - 0.5 * t), 0.1)), vertices)
    cheeks = {50: 1.0, 280: 1.0, 205: 0.8, 425: 0.8, 187: 0.9, 411: 0.9, 101: 0.5, 330: 0.5}
    frame = {v: np.zeros(3) for v in (*FACE_OVAL, *eyes, *NOSE, *LIPS)}
    lifted = extend(
        {**frame, **{v: np.array([0.0, 0.35 * w, 0.12 * w]) for v, w in cheeks.items()}}
    )
    shapes |= _split("cheekSquint", lifted, vertices)
    shapes |= _split("_cheekLift", 0.4 * lifted, vertices)
    puff = extend({**frame, **{v: np.array([0.0, 0.0, 0.8 * w]) for v, w in cheeks.items()}})
    shapes["cheekPuff"] = puff
    wings = {v: np.array([0.0, 0.35, -0.05]) for v in (64, 294, 48, 278, 129, 358)}
    sneer_frame = {v: np.zeros(3) for v in (*FACE_OVAL, *eyes, *LIPS, 1, 2, 4, 5, 195, 197, 6, 168)}
    shapes |= _split("noseSneer", extend({**sneer_frame, **wings}), vertices)
    return shapes


def _split(name: str, shape: np.ndarray, vertices: np.ndarray) -> Mapping[str, np.ndarray]:
    """Left and right halves that add up to ``shape``, blended over ±1 cm of the midline."""
    t = np.clip((vertices[:, :1] + 1) / 2, 0, 1)
    left = t * t * (3 - 2 * t)
    return {f"{name}Left": left * shape, f"{name}Right": (1 - left) * shape}
