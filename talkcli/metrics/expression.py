"""How closely a driven face follows its driver: distances of expression and pose.

AED and APD are the "average expression distance" and "average pose distance" (Ren et al.,
PIRenderer, ICCV 2021, section 4; also used by MGGTalk and Splat-Portrait): the mean absolute
difference of expression and pose coefficients that one estimator finds in the generated and the
driving video. Papers use the coefficients of a 3DMM; here they are the 52 ARKit weights and the
head's angles, so figures can be compared between runs of this tool, not with those of papers.
"""

from __future__ import annotations

import numpy as np

from talkcli.types import MotionCurves


def average_expression_distance(generated: MotionCurves, driving: MotionCurves) -> float:
    """AED: mean absolute difference of expression weights over frames and shapes.

    Args:
        generated: tracked in the generated video.
        driving: tracked in the driving video; interpolated at the times of the generated one.
    """
    return _mean_distance(generated, driving, "expression")


def average_pose_distance(generated: MotionCurves, driving: MotionCurves) -> float:
    """APD: mean absolute difference of yaw, pitch and roll over frames, radians.

    Args:
        generated: tracked in the generated video.
        driving: tracked in the driving video; interpolated at the times of the generated one.
    """
    return float(np.radians(_mean_distance(generated, driving, "rotation")))


def _mean_distance(generated: MotionCurves, driving: MotionCurves, name: str) -> float:
    wanted = [
        np.interp(generated.times, driving.times, column) for column in getattr(driving, name).T
    ]
    inside = generated.times <= driving.duration_s
    difference = np.abs(getattr(generated, name) - np.stack(wanted, 1))
    return float(difference[inside].mean())
