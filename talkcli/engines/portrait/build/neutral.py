"""The neutral face behind the source's expression, and the ARKit shapes of that face."""

from __future__ import annotations

import numpy as np

from talkcli.face.basis import close_lips, expression_basis
from talkcli.face.harmonic import HarmonicExtension
from talkcli.face.identity import fit_identity
from talkcli.face.measures import face_height
from talkcli.face.model import FaceModel
from talkcli.face.pose import DEPTH_SCALE, IMAGE_TO_HEAD
from talkcli.face.topology import OUTER_CORNERS
from talkcli.shapes import Float
from talkcli.types import ARKIT_NAMES

#: Share of a toothy smile that is removed; the rest is attributed to the shape of the face.
_SMILE_RELAXED = 0.8
#: Lips closer together than this (face heights) are closed.
_CLOSED_FH = 0.012
#: Above this gap the source's mouth is open, and may smile.
_OPEN_FH = 0.035
#: From this gap on, the jaw is open, not just the lips.
_JAW_OPEN_FH = 0.06
#: Largest closing of the jaw beyond what the model estimates, in units of jawOpen.
_MOST_JAW = 0.8


def neutralise(
    face: Float[np.ndarray, "478 3"], model: FaceModel
) -> tuple[Float[np.ndarray, "478 3"], Float[np.ndarray, "52 478 3"]]:
    """Estimate the neutral face, with closed mouth, from a face with an expression.

    Args:
        face: ``[478, 3]`` source face, head frame, centimetres.
        model: face template.

    Returns:
        ``[478, 3]`` shift to the neutral face and ``[52, 478, 3]`` the ARKit shapes of that face.
    """
    extend = HarmonicExtension(face, model.triangles, model.triangle_labels)
    gap = np.linalg.norm(face[13] - face[14]) / face_height(face)
    shift = np.zeros((478, 3))
    if gap > _JAW_OPEN_FH:
        shift = _relaxed_jaw(face, model)
    if gap > _CLOSED_FH:
        shift = shift + close_lips(face + shift, extend)
    basis = expression_basis(face + shift, extend)
    if gap > _OPEN_FH:
        smile = (
            basis[ARKIT_NAMES.index("mouthSmileLeft")] + basis[ARKIT_NAMES.index("mouthSmileRight")]
        )
        shift = shift - _SMILE_RELAXED * _smile_weight(face + shift, model) * smile
    return shift, basis


def _relaxed_jaw(face: np.ndarray, model: FaceModel) -> np.ndarray:
    """``[478, 3]`` shift that undoes the expression of the lower face, as the model estimates it.

    Merely pulling the lips together would stretch them and leave the chin as low as with the open
    mouth, so the jaw closes the gap that the model leaves.
    """
    points = face @ IMAGE_TO_HEAD / (1.0, 1.0, DEPTH_SCALE)
    person = fit_identity(points[None], model)
    lower = [name.startswith(("jaw", "mouth")) for name in ARKIT_NAMES]
    shift = -np.tensordot(person.weights[0] * lower, person.basis, 1)

    def gap(vertices: np.ndarray) -> float:
        return float(vertices[13, 1] - vertices[14, 1])

    opened = person.basis[ARKIT_NAMES.index("jawOpen")]
    missing = np.clip(gap(face + shift) / max(gap(opened), 0.5), 0, _MOST_JAW)
    return shift - missing * opened


def _smile_weight(face: np.ndarray, model: FaceModel) -> float:
    """How far the corners of the closed mouth are above the template's, in units of mouthSmile."""

    def corner_lift(vertices: np.ndarray) -> float:
        return float(vertices[list(OUTER_CORNERS), 1].mean() - vertices[[13, 14], 1].mean())

    return float(np.clip((corner_lift(face) - corner_lift(model.vertices)) / 0.75, 0, 1.4))
