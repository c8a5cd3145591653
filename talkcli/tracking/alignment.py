"""Landmarks of many frames freed of head pose and scale, all frames at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcli.tracking.headfit import DEPTH_SCALE, IMAGE_TO_HEAD
from talkcli.tracking.topology import RIGID


@dataclass(frozen=True)
class AlignedHeads:
    """Faces in the head frame and how they stood in the picture.

    Attributes:
        points: ``[T, 478, 3]`` head frame, centimetres.
        rotations: ``[T, 3, 3]`` head frame to frontal head frame (identity for a frontal face).
        scales: ``[T]`` pixels per centimetre.
        shifts: ``[T, 3]`` image position of the head frame's origin, pixels, y down.
        residuals: ``[T]`` root mean square distance of the rigid vertices from the template, cm.
    """

    points: np.ndarray
    rotations: np.ndarray
    scales: np.ndarray
    shifts: np.ndarray
    residuals: np.ndarray


def align_heads(points: np.ndarray, template: np.ndarray) -> AlignedHeads:
    """Similarity of each frame's rigid vertices to the template's (Umeyama 1991, batched).

    Args:
        points: ``[T, 478, 3]`` as FaceMesh gives them: pixels, z away from the camera, depth not
            yet scaled. All finite.
        template: ``[478, 3]`` head frame, centimetres.
    """
    rigid = list(RIGID)
    upright = points.astype(np.float64) * (1.0, 1.0, DEPTH_SCALE) @ IMAGE_TO_HEAD
    centre_p = upright[:, rigid].mean(1, keepdims=True)
    centre_t = template[rigid].mean(0)
    a, b = upright[:, rigid] - centre_p, template[rigid] - centre_t
    u, singular, vt = np.linalg.svd(np.einsum("ni,tnj->tij", b, a))
    signs = np.ones_like(singular)
    signs[:, 2] = np.sign(np.linalg.det(u @ vt))
    to_head = np.einsum("tij,tj,tjk->tik", u, signs, vt)
    grow = (singular * signs).sum(1) / np.maximum((a**2).sum((1, 2)), 1e-12)
    turned = np.matmul(upright - centre_p, to_head.transpose(0, 2, 1))
    aligned = grow[:, None, None] * turned + centre_t
    rest = aligned[:, rigid] - template[rigid]
    rotations = to_head.transpose(0, 2, 1)
    # The origin lies where the aligned frame has zero: undo the alignment there.
    origin = centre_p[:, 0] - np.einsum("tij,j->ti", rotations, centre_t) / grow[:, None]
    return AlignedHeads(
        points=aligned,
        rotations=rotations,
        scales=1.0 / grow,
        shifts=origin @ IMAGE_TO_HEAD,
        residuals=np.sqrt((rest**2).sum(-1).mean(-1)),
    )
