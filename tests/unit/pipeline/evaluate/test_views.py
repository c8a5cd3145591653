"""What another camera sees follows from the rotation between two cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from talkcli.config import Recipe
from talkcli.errors import InputError
from talkcli.face.pose import euler_to_rotation, rotation_to_euler
from talkcli.pipeline.evaluate.compare import Context, EvalSettings
from talkcli.pipeline.evaluate.views import Views, camera_turn, compare_views, seen_from
from talkcli.progress import SilentReporter, Stopwatch
from talkcli.types import MotionCurves

TURN = euler_to_rotation(-40.0, 6.0, 2.0)


def curves(turn: np.ndarray, noise_deg: float = 0.0, tracked: bool = True) -> MotionCurves:
    """A head that moves, as seen by a camera behind a turn."""
    t = (np.arange(50) + 0.5) / 25
    rng = np.random.default_rng(0)
    angles = np.stack([8 * np.sin(t), 4 * np.cos(2 * t), 3 * np.sin(3 * t)], 1)
    seen = [rotation_to_euler(turn @ euler_to_rotation(*a)) for a in angles]
    rotation = np.array(seen) + rng.normal(0, noise_deg, (50, 3))
    expression = np.tile(t[:, None].astype(np.float32), 52)
    zeros = (np.zeros((50, n), np.float32) for n in (3, 2))
    there = np.full(50, tracked)
    return MotionCurves(t, expression, rotation.astype(np.float32), *zeros, there, 2.0)


def test_the_turn_between_cameras_is_found() -> None:
    found = camera_turn(curves(np.eye(3)), curves(TURN, noise_deg=2.0), Path("cam0.mp4"))
    apart = np.degrees(np.arccos((np.trace(found @ TURN.T) - 1) / 2))
    # The mean of 50 measurements with 2° of noise on three angles: .5°.
    assert apart < 1.0


def test_a_performance_seen_by_the_other_camera() -> None:
    source, other = curves(np.eye(3)), curves(TURN)
    motions = list(seen_from(source, TURN, frame=7))
    assert len(motions) == 50
    for k, motion in enumerate(motions):
        np.testing.assert_allclose(motion.expression, source.expression[k])
        # Relative to the frame that the avatar was made from.
        np.testing.assert_allclose(
            motion.rotation + source.rotation[7], other.rotation[k], atol=1e-3
        )
        assert not motion.translation.any()


def test_cameras_that_share_no_instant() -> None:
    with pytest.raises(InputError, match="at the same time"):
        camera_turn(curves(np.eye(3)), curves(TURN, tracked=False), Path("cam0.mp4"))


@pytest.mark.slow
def test_an_avatar_is_nearer_to_other_cameras_than_its_picture(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALKCLI_CACHE", str(tmp_path))
    cameras = tuple(shared_data / "multiview" / f"nersemble_038_cam{k}.mp4" for k in range(3))
    context = Context(Recipe(), EvalSettings(), SilentReporter(), Stopwatch())
    found, protocol = compare_views(Views(cameras, source=1), context)
    assert [one.name for one in found] == [
        *("nersemble_038_cam0", "nersemble_038_cam0, source frame"),
        *("nersemble_038_cam2", "nersemble_038_cam2, source frame"),
    ]
    assert "nersemble_038_cam1.mp4" in protocol
    for ours, still in ((found[0], found[1]), (found[2], found[3])):
        assert ours.facts["frames_used"] == 97 and ours.facts["align"] == "frame"
        for name in ("psnr_face", "ssim_face", "psnr_head"):
            assert (ours.value(name) or 0) > (still.value(name) or 0)
        for name in ("landmark_error", "yaw_error"):
            assert (ours.value(name) or 99) < 0.5 * (still.value(name) or 0)
        assert ours.value("jitter") is None
