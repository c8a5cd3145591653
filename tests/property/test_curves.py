"""Motion curves: files give back what was written, and motion is taken over without a jump."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from talkcli.motion.curves import read_csv, read_npz, resample, write_csv, write_npz
from talkcli.motion.retarget import (
    MAX_SHIFT_CM,
    MAX_TURN_DEG,
    DrivenMotion,
    RetargetSettings,
    reference_frame,
)
from talkcli.types import MotionCurves

PARTS = ("expression", "rotation", "translation", "gaze")
RATES = st.integers(1, 120).map(Fraction) | st.sampled_from([24, 30, 60]).map(
    lambda nominal: Fraction(nominal * 1000, 1001)
)


@st.composite
def curves(draw: st.DrawFn, even: Fraction | None = None) -> MotionCurves:
    """A performance of 1 to 90 frames; its times lie evenly or anyhow."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 90))
    steps = np.full(count, 1 / 25) if even is None else np.full(count, float(1 / even))
    if even is None and draw(st.booleans()):
        steps = rng.uniform(0.002, 0.3, count)
    ends = np.cumsum(steps)
    wild = draw(st.sampled_from([0.0, 0.1, 1.0]))
    return MotionCurves(
        times=ends - steps / 2,
        expression=rng.uniform(0, max(wild, 0.01), (count, 52)).astype(np.float32),
        rotation=(wild * rng.uniform(-60, 60, (count, 3))).astype(np.float32),
        translation=(wild * rng.uniform(-8, 8, (count, 3))).astype(np.float32),
        gaze=(wild * rng.uniform(-25, 25, (count, 2))).astype(np.float32),
        tracked=rng.random(count) < 0.9,
        duration_s=float(ends[-1]),
    )


@given(curves())
def test_npz_gives_back_every_bit(written: MotionCurves) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "motion.npz"
        write_npz(path, written)
        read = read_npz(path)
        assert [item.name for item in Path(folder).iterdir()] == ["motion.npz"]
    for name in (*PARTS, "times", "tracked"):
        there, here = getattr(read, name), getattr(written, name)
        assert there.dtype == here.dtype and np.array_equal(there, here), name
    assert read.duration_s == written.duration_s


@given(curves(), RATES)
def test_csv_gives_back_all_but_translation(written: MotionCurves, fps: Fraction) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "motion.csv"
        write_csv(path, written.frames, fps)
        read = read_csv(path)
    assert len(read) == len(written)
    # Six decimals: half a unit of them, in radians for angles; then single precision.
    decimals = 0.5e-6
    np.testing.assert_allclose(read.expression, written.expression, atol=1.1 * decimals)
    degrees = np.degrees(decimals) + 1e-5
    np.testing.assert_allclose(read.rotation, written.rotation, atol=degrees)
    np.testing.assert_allclose(read.gaze, written.gaze, atol=degrees)
    assert not read.translation.any()
    # A timecode counts whole frames. Less than a second of them does not tell how many there are.
    nominal = round(fps)
    if len(written) > nominal:
        times = (np.arange(len(written)) + 0.5) / nominal
        np.testing.assert_allclose(read.times, times, atol=1e-9)
        assert abs(read.duration_s - len(written) / nominal) < 1e-9


@given(curves(), st.sampled_from([24, 25, 30, 50, 60, 120]), st.data())
def test_recordings_with_missing_frames_keep_their_rate(
    written: MotionCurves, rate: int, data: st.DataObject
) -> None:
    """As a recorder writes that drops frames: rows are missing, the others keep their timecodes."""
    count = 2 * rate + len(written)
    frames = [written.frames[k % len(written)] for k in range(count)]
    lost = data.draw(st.sets(st.integers(1, count - 2), max_size=count // 3))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "motion.csv"
        write_csv(path, frames, Fraction(rate))
        header, *rows = path.read_text().splitlines()
        kept = [row for k, row in enumerate(rows) if k not in lost]
        path.write_text("\n".join([header, *kept]))
        read = read_csv(path)
    assert abs(read.duration_s - count / rate) <= 1.01 / rate


@given(curves(), st.integers(1, 120))
def test_resampling_stays_within_what_was_there(given_: MotionCurves, rate: int) -> None:
    fps = Fraction(rate)
    even = resample(given_, fps)
    np.testing.assert_allclose(even.times, (np.arange(len(even)) + 0.5) / rate)
    assert abs(even.duration_s - max(given_.duration_s, 0.5 / rate)) <= 0.5 / rate + 1e-9
    for name in PARTS:
        before, after = getattr(given_, name), getattr(even, name)
        assert after.dtype == np.float32
        assert (after >= before.min(0) - 1e-5).all() and (after <= before.max(0) + 1e-5).all()


@given(st.sampled_from([24, 25, 60]).flatmap(lambda n: st.tuples(st.just(n), curves(Fraction(n)))))
def test_resampling_at_the_same_rate_changes_nothing(pair: tuple[int, MotionCurves]) -> None:
    rate, before = pair
    after = resample(before, Fraction(rate))
    assert len(after) == len(before)
    for name in PARTS:
        # Times of float64; single precision rounds what is interpolated between them.
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=1e-4)


SETTINGS = st.builds(RetargetSettings, st.floats(0, 2), st.floats(0, 2))
SHARES = st.floats(0, 1)


def values(motion: DrivenMotion, time_s: float) -> np.ndarray:
    """``[60]``: everything that a frame holds, expression in hundredths to match degrees."""
    frame = motion.at(time_s)
    parts = (100 * frame.expression, frame.rotation, frame.translation, frame.gaze)
    return np.concatenate([part.astype(float) for part in parts])


@given(curves(), SETTINGS, SHARES)
def test_driven_motion_never_jumps(driver: MotionCurves, taken, share: float) -> None:
    motion = DrivenMotion(driver, taken)
    # Longer than the performance: over its end, where it runs backwards, and over its start again.
    time_s, step = 2.5 * share * driver.duration_s, 1e-4
    jump = np.abs(values(motion, time_s + step) - values(motion, time_s)).max()
    nodes = np.stack([values(motion, time) for time in driver.times])
    slopes = np.abs(np.diff(nodes, axis=0)) / np.diff(driver.times)[:, None]
    assert jump <= step * slopes.max(initial=0) * 1.01 + 1e-3


@given(curves(), SETTINGS, SHARES)
def test_driven_motion_runs_back_from_its_end(driver: MotionCurves, taken, share: float) -> None:
    motion, end = DrivenMotion(driver, taken), driver.duration_s
    # Single precision of angles up to a hundred degrees, at slopes up to 60° in 2 ms.
    for one, other in ((share * end, 2 * end - share * end), (share * end, 2 * end + share * end)):
        np.testing.assert_allclose(values(motion, one), values(motion, other), atol=2e-3)


@given(curves(), SETTINGS, SHARES)
def test_driven_motion_stays_in_its_limits(driver: MotionCurves, taken, share: float) -> None:
    frame = DrivenMotion(driver, taken).at(share * driver.duration_s)
    assert (np.abs(frame.rotation) <= MAX_TURN_DEG + 1e-4).all()
    assert (np.abs(frame.translation) <= MAX_SHIFT_CM + 1e-5).all()
    assert frame.expression.min() >= 0 and frame.expression.max() <= 1
    assert all(part.dtype == np.float32 for part in (frame.rotation, frame.gaze))


@given(curves(), SETTINGS)
def test_the_reference_frame_is_the_source_pose(driver: MotionCurves, taken) -> None:
    motion = DrivenMotion(driver, taken)
    index = reference_frame(driver)
    assert 0 <= index < len(driver)
    frame = motion.at(float(driver.times[index]))
    np.testing.assert_allclose(frame.rotation, 0, atol=1e-4)
    np.testing.assert_allclose(frame.translation, 0, atol=1e-4)


@given(curves(), st.integers(1, 60), st.integers(1, 40))
def test_frames_are_what_is_shown_at_their_middle(
    driver: MotionCurves, rate: int, count: int
) -> None:
    motion = DrivenMotion(driver, RetargetSettings())
    frames = list(motion.frames(count, Fraction(rate)))
    assert len(frames) == count
    for index in (0, count - 1):
        wanted = motion.at((index + 0.5) / rate)
        np.testing.assert_allclose(frames[index].expression, wanted.expression, atol=1e-5)
