"""Does a driven face do what its driver does? Distances of expression, pose and landmarks.

AED and APD are the tables' "average expression distance" and "average pose distance" (Ren et al.,
PIRenderer, ICCV 2021, section 4; used alike by MGGTalk and Splat-Portrait): the mean absolute
difference of the expression and pose coefficients that one estimator reads off the generated and
the driving video. Papers take a 3DMM's coefficients; here they are the 52 ARKit weights and the
head's angles, so figures compare among runs of this tool, not with the papers' own.
"""

from __future__ import annotations

import numpy as np

from talkcli.tracking.headfit import fit_similarity
from talkcli.tracking.topology import CHIN_TIP, FOREHEAD_TOP, RIGID
from talkcli.types import MotionCurves


def average_expression_distance(generated: MotionCurves, driving: MotionCurves) -> float:
    """AED: mean absolute difference of expression weights over frames and shapes.

    Args:
        generated: tracked in the generated video.
        driving: tracked in the driving video; is read at the times of the generated one.
    """
    return _mean_distance(generated, driving, "expression")


def average_pose_distance(generated: MotionCurves, driving: MotionCurves) -> float:
    """APD: mean absolute difference of yaw, pitch and roll over frames, radians.

    Args:
        generated: tracked in the generated video.
        driving: tracked in the driving video; is read at the times of the generated one.
    """
    return float(np.radians(_mean_distance(generated, driving, "rotation")))


def _mean_distance(generated: MotionCurves, driving: MotionCurves, name: str) -> float:
    wanted = [
        np.interp(generated.times, driving.times, column) for column in getattr(driving, name).T
    ]
    inside = generated.times <= driving.duration_s
    difference = np.abs(getattr(generated, name) - np.stack(wanted, 1))
    return float(difference[inside].mean())


def landmark_error(found: np.ndarray, wanted: np.ndarray) -> float:
    """Mean distance of landmarks after a similarity of the rigid ones, % of the face height.

    Args:
        found: ``[478, 3]`` pixels, in the generated picture.
        wanted: ``[478, 3]`` pixels, in the driving one.
    """
    rigid = list(RIGID)
    plane = np.array([1.0, 1.0, 0.0])
    scale, rotation, shift = fit_similarity(wanted[rigid] * plane, found[rigid] * plane)
    aligned = scale * (wanted * plane) @ rotation.T + shift
    height = np.linalg.norm(found[FOREHEAD_TOP] - found[CHIN_TIP])
    distance = np.linalg.norm((aligned - found)[:468, :2], axis=1)
    return 100.0 * float(distance.mean() / height)


def psnr(picture: np.ndarray, wanted: np.ndarray, mask: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB inside a mask.

    Args:
        picture: ``[H, W, 3]``, 0–255.
        wanted: likewise.
        mask: ``[H, W]`` bool.
    """
    error = (picture.astype(float) - wanted.astype(float))[mask]
    return float(-10.0 * np.log10(max((error**2).mean() / 255.0**2, 1e-12)))
