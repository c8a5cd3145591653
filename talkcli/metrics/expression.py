"""Does a driven face do what its driver does? Distances of expression, pose and landmarks.

AED and APD are the tables' "average expression distance" and "average pose distance" (Ren et al.,
PIRenderer, ICCV 2021, section 4; used alike by MGGTalk and Splat-Portrait): the mean absolute
difference of the expression and pose coefficients that one estimator reads off the generated and
the driving video. Papers take a 3DMM's coefficients; here they are the 52 ARKit weights and the
head's angles, so figures compare among runs of this tool, not with the papers' own.
"""

from __future__ import annotations

import numpy as np

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
