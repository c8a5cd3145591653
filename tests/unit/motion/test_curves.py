from __future__ import annotations

import csv
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkcli.errors import InputError
from talkcli.motion.curves import read_csv, read_npz, resample, write_csv, write_npz
from talkcli.types import ARKIT_NAMES, MotionCurves, MotionFrame


def some_frames(count: int) -> list[MotionFrame]:
    rng = np.random.default_rng(0)
    return [
        MotionFrame(
            expression=rng.random(52).astype(np.float32),
            rotation=rng.normal(0, 5, 3).astype(np.float32),
            translation=rng.normal(0, 0.2, 3).astype(np.float32),
            gaze=rng.normal(0, 3, 2).astype(np.float32),
        )
        for _ in range(count)
    ]


def some_curves(times: np.ndarray, duration_s: float) -> MotionCurves:
    frames = some_frames(len(times))
    return MotionCurves(
        times=times,
        expression=np.array([f.expression for f in frames]).reshape(-1, 52),
        rotation=np.array([f.rotation for f in frames]).reshape(-1, 3),
        translation=np.array([f.translation for f in frames]).reshape(-1, 3),
        gaze=np.array([f.gaze for f in frames]).reshape(-1, 2),
        tracked=np.arange(len(times)) % 7 > 0,
        duration_s=duration_s,
    )


@pytest.mark.parametrize("fps", [Fraction(24), Fraction(25), Fraction(30), Fraction(60)])
def test_csv_round_trip(tmp_path: Path, fps: Fraction) -> None:
    frames = some_frames(130)
    write_csv(tmp_path / "curves.csv", frames, fps)
    curves = read_csv(tmp_path / "curves.csv")
    np.testing.assert_allclose(curves.times, (np.arange(130) + 0.5) / float(fps), atol=1e-9)
    assert curves.duration_s == pytest.approx(130 / float(fps))
    for a, b in zip(curves.frames, frames, strict=True):
        np.testing.assert_allclose(a.expression, b.expression, atol=1e-6)
        # Six decimals of a radian.
        np.testing.assert_allclose(a.rotation, b.rotation, atol=5e-5)
        np.testing.assert_allclose(a.gaze, b.gaze, atol=5e-5)
        assert not a.translation.any()


def test_csv_is_laid_out_as_live_link_face_does(tmp_path: Path) -> None:
    write_csv(tmp_path / "curves.csv", some_frames(3700), Fraction(60000, 1001))
    with (tmp_path / "curves.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0][:3] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft"]
    assert rows[0][53:57] == ["TongueOut", "HeadYaw", "HeadPitch", "HeadRoll"]
    assert rows[0][-1] == "RightEyeRoll"
    assert {len(row) for row in rows} == {63}
    assert rows[1][:2] == ["00:00:00:00.000", "61"]
    assert rows[3662][0] == "00:01:01:01.000"


def test_csv_of_others_is_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text(
        "\ufefftimecode,BlendshapeCount,jawOpen,EYEBLINKLEFT,HeadYaw\n"
        "23:59:59:29.500,61,0.5,1.0,0.1\n\n00:00:00:00.500,61,0.25,0.0,-0.1\n",
        encoding="utf-8",
    )
    curves = read_csv(path)
    np.testing.assert_allclose(np.diff(curves.times), [1 / 60], atol=0.02)
    assert curves.frames[0].expression[ARKIT_NAMES.index("jawOpen")] == 0.5
    assert curves.frames[0].expression[ARKIT_NAMES.index("eyeBlinkLeft")] == 1.0
    assert curves.frames[1].rotation[0] == pytest.approx(np.degrees(-0.1))
    assert curves.frames[0].expression.sum() == 1.5


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n1,2\n", "Timecode,JawOpen\n00:00:00:00.000,wide\n", "Timecode,JawOpen\nnow,0.5\n"],
)
def test_other_tables_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"table\.csv"):
        read_csv(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_csv(tmp_path / "missing.csv")


def test_npz_round_trip_is_exact_for_uneven_times(tmp_path: Path) -> None:
    times = np.cumsum(np.random.default_rng(1).uniform(0.02, 0.1, 40))
    written = some_curves(times, float(times[-1]) + 0.05)
    write_npz(tmp_path / "motion.npz", written)
    curves = read_npz(tmp_path / "motion.npz")
    for name in ("times", "expression", "rotation", "translation", "gaze", "tracked"):
        np.testing.assert_array_equal(getattr(curves, name), getattr(written, name))
    assert curves.duration_s == written.duration_s
    assert [path.name for path in tmp_path.iterdir()] == ["motion.npz"]


def test_npz_of_the_first_schema_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.npz"
    header = json.dumps({"schema": 1, "fps": "30000/1001", "names": ARKIT_NAMES})
    zeros = {
        "rotation": np.zeros((9, 3)),
        "translation": np.zeros((9, 3)),
        "gaze": np.zeros((9, 2)),
    }
    np.savez(path, header=np.array(header), expression=np.ones((9, 52)), **zeros)
    curves = read_npz(path)
    np.testing.assert_allclose(curves.times, (np.arange(9) + 0.5) * 1001 / 30000)
    assert curves.duration_s == pytest.approx(9 * 1001 / 30000)
    assert curves.tracked.all()


def test_empty_motion(tmp_path: Path) -> None:
    write_npz(tmp_path / "none.npz", some_curves(np.zeros(0), 0.0))
    write_csv(tmp_path / "none.csv", [], Fraction(25))
    assert read_npz(tmp_path / "none.npz").frames == []
    assert read_csv(tmp_path / "none.csv").frames == []


def test_resampling_keeps_length_and_follows_the_curve() -> None:
    times = np.array([0.02, 0.06, 0.10, 0.20, 0.40, 0.80])
    curves = some_curves(times, 1.0)
    even = resample(curves, Fraction(50))
    assert len(even) == 50
    assert even.duration_s == 1.0
    wanted = np.interp(even.times, times, curves.expression[:, 17])
    np.testing.assert_allclose(even.expression[:, 17], wanted, atol=1e-6)


@pytest.mark.parametrize("bad", ["nan", "inf"])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"Timecode,JawOpen\n00:00:00:00.000,0.5\n00:00:00:01.000,{bad}\n")
    with pytest.raises(InputError, match="finite"):
        read_csv(path)
    curves = some_curves(np.array([0.1, 0.2]), 0.3)
    curves.gaze[0] = float(bad)
    write_npz(tmp_path / "motion.npz", curves)
    with pytest.raises(InputError, match="finite"):
        read_npz(tmp_path / "motion.npz")


def test_repeated_timecodes_are_dropped_but_disorder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    rows = [f"00:00:00:{k:02d}.000,0.{k:02d}" for k in range(30)]
    path.write_text("\n".join(["Timecode,JawOpen", *rows[:12], rows[11], *rows[12:]]))
    assert len(read_csv(path)) == 30
    path.write_text("\n".join(["Timecode,JawOpen", *rows[20:], *rows[:20]]))
    with pytest.raises(InputError, match="do not rise"):
        read_csv(path)


def test_damaged_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "motion.npz"
    path.write_bytes(b"PK but no archive")
    with pytest.raises(InputError, match="cannot be read"):
        read_npz(path)
    np.savez(path, header=np.array({"schema": 1}, dtype=object))
    with pytest.raises(InputError, match="cannot be read"):
        read_npz(path)
