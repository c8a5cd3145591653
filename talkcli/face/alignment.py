"""Removes head pose and scale from the landmarks of many frames, all at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from talkcli.face.pose import DEPTH_SCALE, IMAGE_TO_HEAD
from talkcli.face.topology import RIGID
from talkcli.shapes import Float

#: Weight of errors in depth, relative to those in the picture, when poses are measured. FaceMesh's
#: depth follows expressions: on 19 clips, the noise of pitch falls by an eighth and the nose is a
#: tenth nearer to its landmarks; .15 and .05 do no better.
PICTURE_DEPTH = 0.3
_STEPS = 2  # Gauss-Newton, from the similarity in space; more steps change no figure


@dataclass(frozen=True)
class AlignedHeads:
    """Faces in the head frame, and their poses in the picture.

    Attributes:
        points: ``[T, 478, 3]`` head frame, centimetres.
        rotations: ``[T, 3, 3]`` head frame to frontal head frame (identity for a frontal face).
        scales: ``[T]`` pixels per centimetre.
        shifts: ``[T, 3]`` image position of the head frame's origin, pixels, y down.
        residuals: ``[T]`` root mean square distance of the rigid vertices from the template, cm.
    """

    points: Float[np.ndarray, "T 478 3"]
    rotations: Float[np.ndarray, "T 3 3"]
    scales: Float[np.ndarray, " T"]
    shifts: Float[np.ndarray, "T 3"]
    residuals: Float[np.ndarray, " T"]


def align_heads(
    points: Float[np.ndarray, "T 478 3"],
    template: Float[np.ndarray, "478 3"],
    depth_weight: float = 1.0,
) -> AlignedHeads:
    """Align each frame's rigid vertices to the template's by a similarity (Umeyama 1991, batched).

    Args:
        points: ``[T, 478, 3]`` as FaceMesh gives them: pixels, z away from the camera, depth not
            yet scaled. All finite.
        template: ``[478, 3]`` head frame, centimetres.
        depth_weight: weight of errors in depth relative to those in the picture, 0 to 1.
    """
    rigid = list(RIGID)
    upright = points.astype(np.float64) * (1.0, 1.0, DEPTH_SCALE) @ IMAGE_TO_HEAD
    centre_p = upright[:, rigid].mean(1, keepdims=True)
    centre_t = template[rigid].mean(0)
    a, b = upright[:, rigid] - centre_p, template[rigid] - centre_t
    u, singular, vt = np.linalg.svd(np.einsum("ni,tnj->tij", b, a))
    signs = np.ones_like(singular)
    signs[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotations = np.einsum("tij,tj,tjk->tki", u, signs, vt)
    scales = (a**2).sum((1, 2)) / np.maximum((singular * signs).sum(1), 1e-12)
    if depth_weight < 1.0:
        rotations, scales = _fit_picture(a, b, rotations, scales, depth_weight)
    aligned = (upright - centre_p) @ rotations / scales[:, None, None] + centre_t
    rest = aligned[:, rigid] - template[rigid]
    # The image position of the head frame's origin: undo the alignment at zero.
    origin = centre_p[:, 0] - scales[:, None] * np.einsum("tij,j->ti", rotations, centre_t)
    return AlignedHeads(
        points=aligned,
        rotations=rotations,
        scales=scales,
        shifts=origin @ IMAGE_TO_HEAD,
        residuals=np.sqrt((rest**2).sum(-1).mean(-1)),
    )


def _fit_picture(
    seen: np.ndarray,
    head: np.ndarray,
    rotations: np.ndarray,
    scales: np.ndarray,
    depth_weight: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Refine rotations and scales to fit the head to the picture, with less weight on depth.

    Args:
        seen: ``[T, n, 3]`` vertices in the picture, y up, z out of it, relative to their mean.
        head: ``[n, 3]`` the same vertices of the head, centimetres.
        rotations: ``[T, 3, 3]`` initial rotations.
        scales: ``[T]`` initial scales.
        depth_weight: weight of errors along z.
    """
    weights = np.array([1.0, 1.0, depth_weight])
    for _ in range(_STEPS):
        placed = scales[:, None, None] * (head @ rotations.transpose(0, 2, 1))
        # A small rotation about axis k moves a point by the cross product; the last column scales.
        turns = [np.cross(axis, placed) for axis in np.eye(3)]
        slopes = np.stack([*turns, placed], -1) * weights[:, None]
        slopes = slopes.reshape(len(seen), -1, 4)
        errors = ((seen - placed) * weights).reshape(len(seen), -1, 1)
        across = slopes.transpose(0, 2, 1)
        steps = np.linalg.solve(across @ slopes, across @ errors)[..., 0]
        rotations = Rotation.from_rotvec(steps[:, :3]).as_matrix() @ rotations
        scales = scales * np.exp(steps[:, 3])
    return rotations, scales
