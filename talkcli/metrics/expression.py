"""How closely a driven face follows its driver: distances of expression and pose.

AED and APD are the "average expression distance" and "average pose distance" (Ren et al.,
PIRenderer, ICCV 2021, section 4; also used by MGGTalk and Splat-Portrait): the mean absolute
difference of expression and pose coefficients that one estimator finds in the generated and the
driving video. Papers use the coefficients of a 3DMM; here they are the 52 ARKit weights and the
head's angles, so figures can be compared between runs of this tool, not with those of papers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from talkcli.metrics.result import Metric
from talkcli.shapes import Float
from talkcli.types import MotionCurves


def average_expression_distance(generated: MotionCurves, driving: MotionCurves) -> float:
    """AED: mean absolute difference of expression weights over measured frames and shapes.

    Args:
        generated: tracked in the generated video.
        driving: tracked in the driving video; interpolated at the times of the generated one.
    """
    return _mean_distance(generated, driving, "expression")


def average_pose_distance(generated: MotionCurves, driving: MotionCurves) -> float:
    """APD: mean absolute difference of yaw, pitch and roll over measured frames, radians.

    Args:
        generated: tracked in the generated video.
        driving: tracked in the driving video; interpolated at the times of the generated one.
    """
    return float(np.radians(_mean_distance(generated, driving, "rotation")))


def performance_scores(made: MotionCurves, real: MotionCurves, lag_s: float = 0.0) -> list[Metric]:
    """AED and APD as rows of an evaluation.

    Args:
        made: tracked in the made video, as the person of the real one.
        real: tracked in the real video.
        lag_s: how much later the real picture shows what the made one shows.
    """
    real = replace(real, times=real.times - lag_s, duration_s=real.duration_s - lag_s)
    if not (made.tracked & (made.times <= real.duration_s)).any():
        why = "no frame of both shows a face"
        return [
            Metric("aed", "AED", None, "", "lower", note=why),
            Metric("apd", "APD", None, "rad", "lower", note=why),
        ]
    return [
        Metric("aed", "AED", average_expression_distance(made, real), "", "lower"),
        Metric("apd", "APD", average_pose_distance(made, real), "rad", "lower"),
    ]


def yaw_score(made: Float[np.ndarray, " n"], real: Float[np.ndarray, " n"]) -> Metric:
    """How far the head is turned from where it should be.

    Args:
        made: yaw of the made head, degrees.
        real: yaw of the real head at the same instants.
    """
    if not len(made):
        return Metric("yaw_error", "error of the head's yaw", None, "°", "lower")
    note = f"made {made.mean():+.1f}°, real {real.mean():+.1f}° on average"
    error = float(np.abs(made - real).mean())
    return Metric("yaw_error", "error of the head's yaw", error, "°", "lower", note=note)


def _mean_distance(generated: MotionCurves, driving: MotionCurves, name: str) -> float:
    wanted = [
        np.interp(generated.times, driving.times, column) for column in getattr(driving, name).T
    ]
    inside = (generated.times <= driving.duration_s) & generated.tracked
    difference = np.abs(getattr(generated, name) - np.stack(wanted, 1))
    return float(difference[inside].mean())
