"""Distances between pictures, landmarks and performances, on cases whose value is known."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.face.model import FaceModel
from talkcli.face.topology import CHIN_TIP, FOREHEAD_TOP, RIGID
from talkcli.metrics.expression import average_expression_distance, average_pose_distance
from talkcli.metrics.image import SsimScores, psnr, ssim_map
from talkcli.metrics.landmarks import landmark_error
from talkcli.metrics.pair import FramePair
from talkcli.types import MotionCurves


def curves(value: float, count: int, fps: float) -> MotionCurves:
    """Every weight rises from 0 to ``value``, every angle to ten times that, over a second."""
    times = (np.arange(count) + 0.5) / fps
    ramp = (value * times[:, None]).astype(np.float32)
    return MotionCurves(
        times=times,
        expression=np.repeat(ramp, 52, 1),
        rotation=10 * np.repeat(ramp, 3, 1),
        translation=np.zeros((count, 3), np.float32),
        gaze=np.zeros((count, 2), np.float32),
        tracked=np.ones(count, bool),
        duration_s=count / fps,
    )


def test_psnr_looks_inside_the_mask_only() -> None:
    wanted = np.full((8, 8, 3), 100, np.uint8)
    picture = wanted.copy()
    mask = np.zeros((8, 8), bool)
    mask[:4] = True
    picture[mask] += 10
    picture[~mask] = 255
    assert psnr(picture, wanted, mask) == pytest.approx(20 * np.log10(255 / 10))
    assert psnr(wanted, wanted, mask) == pytest.approx(120.0)  # the ceiling


@pytest.mark.parametrize("height", [24, 127, 128, 129, 200])
def test_ssim_by_halves_is_that_of_the_whole(height: int) -> None:
    rng = np.random.default_rng(height)
    made, real = rng.integers(0, 256, (2, height, 60, 3)).astype(np.uint8)
    made[height // 2 :] = real[height // 2 :]
    face = np.zeros((height, 60), bool)
    face[height // 2 - 9 : height // 2 + 3, 20:40] = True
    pair = FramePair(0, 0.0, made, real, None, None, {"face": face})
    scores = SsimScores()
    scores.add(pair)
    found = {metric.region: metric.value for metric in scores.finish()}
    whole = ssim_map(pair.made_luma, pair.real_luma)
    assert found["frame"] == float(whole.mean()) and found["face"] == float(whole[face].mean())
    assert found["head"] is None


def test_distances_of_performances_are_taken_at_the_same_time() -> None:
    """The driver has another frame rate; a linear ramp is the same at any rate."""
    driving, generated = curves(0.5, 60, 60.0), curves(0.5, 25, 25.0)
    # Both ends of the ramp are clipped by half a frame of the driver, by at most 1/120 s.
    assert average_expression_distance(generated, driving) < 0.5 / 120
    larger = curves(0.7, 25, 25.0)
    # 0.2 t averaged over the frames' times, whose mean is half a second.
    assert average_expression_distance(larger, driving) == pytest.approx(0.1, abs=0.5 / 120)
    assert average_pose_distance(larger, driving) == pytest.approx(np.radians(1.0), rel=0.05)


def test_landmark_error_ignores_where_the_face_is() -> None:
    face = FaceModel.load().vertices.astype(float) * 10
    angle = np.radians(20)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    assert landmark_error(face, 1.7 * face @ turn.T + (30, -20, 5)) < 1e-6
    moved = face.copy()
    free = sorted(set(range(468)) - set(RIGID) - {FOREHEAD_TOP, CHIN_TIP})
    moved[free, 0] += 3.0
    height = np.linalg.norm(face[FOREHEAD_TOP] - face[CHIN_TIP])
    assert landmark_error(face, moved) == pytest.approx(100 * 3.0 / height * len(free) / 468)
