from __future__ import annotations

import numpy as np
import pytest

from talkcli.motion.expression import Voice
from talkcli.motion.idle import (
    Blinks,
    Gaze,
    IdleMotion,
    IdlePose,
    IdleSettings,
    blink_closure,
)
from talkcli.types import ARKIT_NAMES

BLINK = ARKIT_NAMES.index("eyeBlinkLeft")


SPEAKING, QUIET = Voice(1.0, 0.0), Voice(0.0, 0.0)


def performance(
    fps: float, seconds: float, seed: int = 0, settings: IdleSettings | None = None
) -> list[IdlePose]:
    idle = IdleMotion(seed, settings or IdleSettings())
    return [idle.at((i + 0.5) / fps, SPEAKING) for i in range(int(seconds * fps))]


def test_same_seed_same_performance_at_any_frame_rate() -> None:
    slow, fast = performance(20, 20), performance(60, 20)
    for k, pose in enumerate(slow):
        twin = fast[3 * k + 1]  # (k + .5) / 20 == (3k + 1 + .5) / 60
        np.testing.assert_allclose(pose.rotation, twin.rotation, atol=1e-9)
        np.testing.assert_allclose(pose.gaze, twin.gaze, atol=1e-9)
        np.testing.assert_allclose(pose.expression, twin.expression, atol=1e-6)
    other = performance(20, 20, seed=1)
    assert np.abs(other[200].rotation - slow[200].rotation).max() > 1.0  # degrees


def test_the_first_frame_is_the_source_pose() -> None:
    first = performance(60, 1.0)[0]
    # Degrees and centimetres: half a frame into the first second of easing in.
    assert np.abs(first.rotation).max() < 0.002
    assert np.abs(first.gaze).max() < 0.002
    assert np.abs(first.translation).max() < 0.0002


def test_less_motion_while_nobody_speaks() -> None:
    speaking, quiet = (IdleMotion(0, IdleSettings()) for _ in range(2))
    a = np.array([speaking.at(t, SPEAKING).rotation for t in np.arange(2, 60, 0.1)])
    b = np.array([quiet.at(t, QUIET).rotation for t in np.arange(2, 60, 0.1)])
    np.testing.assert_allclose(b, 0.45 * a, atol=1e-9)


@pytest.mark.parametrize("rate", [6.0, 17.0, 40.0])
def test_blinks_come_at_the_asked_rate(rate: float) -> None:
    blinks = Blinks(np.random.default_rng(0), rate)
    closure = np.array([blinks.at(t) for t in np.arange(0, 3600, 0.02)])
    begun = np.flatnonzero((closure[1:] > 0.5) & (closure[:-1] <= 0.5))
    # About 1000 intervals with σ .7 have a mean that scatters by 3 %.
    assert len(begun) / 60 == pytest.approx(rate, rel=0.1)
    gaps = np.diff(begun) * 0.02
    single = gaps[gaps > 0.4]
    assert 0.45 < np.log(single - 0.25).std() < 0.8  # .57 to .67 at the three rates
    assert (gaps < 0.4).any()  # now and then a double blink


def test_no_blinks_at_rate_zero() -> None:
    blinks = Blinks(np.random.default_rng(0), 0.0)
    assert max(blinks.at(t) for t in np.arange(0, 600, 0.1)) == 0.0


def test_a_blink_closes_quickly_and_reopens_slowly() -> None:
    t = np.arange(-0.1, 0.6, 0.001)
    closure = np.array([blink_closure(x) for x in t])
    assert closure.min() >= 0.0
    assert closure.max() == pytest.approx(1.0, abs=1e-3)
    above = t[closure > 0.1]
    assert 0.045 < t[closure.argmax()] < 0.075
    assert 0.2 < above[-1] - above[0] < 0.35  # measured: median .24 s, 10–90 % .16–.48
    assert np.abs(np.diff(closure)).max() < 0.03


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_blinks_are_seen_at_any_frame_rate(fps: int) -> None:
    blinks = Blinks(np.random.default_rng(2), 17.0)
    closure = np.array([blinks.at((i + 0.5) / fps) for i in range(fps * 600)])
    begun = ((closure[1:] > 0.25) & (closure[:-1] <= 0.25)).sum()
    assert begun > 120


def test_gaze_rests_on_the_camera_and_returns() -> None:
    gaze = Gaze(np.random.default_rng(0))
    path = np.array([gaze.at(t) for t in np.arange(0, 600, 0.02)])
    away = np.linalg.norm(path, axis=1) > 1.5
    assert 0.06 < away.mean() < 0.16  # a tenth of the time
    runs = np.diff(np.flatnonzero(np.diff(away.astype(int))))
    assert runs.max() * 0.02 < 30
    assert np.abs(path).max(0)[0] <= 8.0
    assert np.abs(path).max(0)[1] <= 5.0


def test_eyes_stay_on_the_camera_while_the_head_turns() -> None:
    poses = performance(25, 60)
    rotation = np.array([p.rotation[:2] for p in poses])
    gaze = np.array([p.gaze for p in poses])
    assert np.corrcoef(rotation[:, 0], gaze[:, 0])[0, 1] < -0.5
    assert np.abs(np.median(gaze + 0.9 * rotation, axis=0)).max() < 0.3


def test_lids_follow_the_gaze() -> None:
    down = ARKIT_NAMES.index("eyeLookDownLeft")
    poses = performance(25, 60)
    pitch = np.array([p.gaze[1] for p in poses])
    lids = np.array([p.expression[down] for p in poses])
    np.testing.assert_allclose(lids, np.maximum(0, -pitch / 30), atol=1e-6)


def test_still_keeps_blinks_alone() -> None:
    poses = performance(25, 60, settings=IdleSettings(still=True))
    for pose in poses:
        assert not pose.rotation.any()
        assert not pose.translation.any()
        assert not pose.gaze.any()
    expression = np.array([p.expression for p in poses])
    moving = {ARKIT_NAMES[i] for i in np.flatnonzero(expression.any(0))}
    assert moving == {"eyeBlinkLeft", "eyeBlinkRight"}
    np.testing.assert_array_equal(expression[:, BLINK], performance_blinks())


def performance_blinks() -> np.ndarray:
    return np.array([p.expression[BLINK] for p in performance(25, 60)])


def test_a_mood_is_kept_by_a_head_that_is_still() -> None:
    (*_, last) = performance(25, 4, settings=IdleSettings(still=True, blink_rate=0, mood="bright"))
    assert last.expression[ARKIT_NAMES.index("mouthSmileLeft")] == pytest.approx(0.3)


def test_blinks_close_wide_and_narrow_eyes() -> None:
    poses = performance(50, 120, settings=IdleSettings(blink_rate=40, expressiveness=2.0))
    expression = np.array([pose.expression for pose in poses])
    shut = expression[:, BLINK] > 0.99
    lids = [ARKIT_NAMES.index(f"eye{way}{side}") for way in ("Wide", "Squint")
            for side in ("Left", "Right")]  # fmt: skip
    assert shut.any()
    assert expression[:, lids].max() > 0.5
    assert expression[shut][:, lids].max() < 0.02
