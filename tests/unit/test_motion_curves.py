from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkcli.errors import InputError
from talkcli.motion.curves import read_csv, read_npz, write_csv, write_npz
from talkcli.types import ARKIT_NAMES, MotionFrame


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


@pytest.mark.parametrize("fps", [Fraction(24), Fraction(25), Fraction(30), Fraction(60)])
def test_csv_round_trip(tmp_path: Path, fps: Fraction) -> None:
    frames = some_frames(130)
    write_csv(tmp_path / "curves.csv", frames, fps)
    curves = read_csv(tmp_path / "curves.csv")
    np.testing.assert_allclose(curves.times, np.arange(130) / float(fps), atol=1e-9)
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
    np.testing.assert_allclose(curves.times, [0.0, 1 / 60], atol=0.02)
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


def test_npz_round_trip_is_exact(tmp_path: Path) -> None:
    frames = some_frames(40)
    write_npz(tmp_path / "motion.npz", frames, Fraction(24000, 1001))
    curves = read_npz(tmp_path / "motion.npz")
    np.testing.assert_allclose(curves.times, np.arange(40) * 1001 / 24000)
    for a, b in zip(curves.frames, frames, strict=True):
        for name in ("expression", "rotation", "translation", "gaze"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert [path.name for path in tmp_path.iterdir()] == ["motion.npz"]


def test_empty_motion(tmp_path: Path) -> None:
    write_npz(tmp_path / "none.npz", [], Fraction(25))
    write_csv(tmp_path / "none.csv", [], Fraction(25))
    assert read_npz(tmp_path / "none.npz").frames == []
    assert read_csv(tmp_path / "none.csv").frames == []


def test_damaged_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "motion.npz"
    path.write_bytes(b"PK but no archive")
    with pytest.raises(InputError, match="cannot be read"):
        read_npz(path)
    np.savez(path, header=np.array({"schema": 1}, dtype=object))
    with pytest.raises(InputError, match="cannot be read"):
        read_npz(path)
