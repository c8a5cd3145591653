from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
import textwrap
import tracemalloc
import zipfile
from dataclasses import replace
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


KILLED_RUN = """
    import os, signal, sys
    from pathlib import Path
    from talkcli.files.output import PendingOutput
    from talkcli.motion.curves import read_csv, write_csv, write_npz

    PendingOutput.commit = lambda self: os.kill(os.getpid(), signal.SIGKILL)
    curves, target = read_csv(Path(sys.argv[1])), Path(sys.argv[2])
    if target.suffix == ".npz":
        write_npz(target, curves)
    write_csv(target, curves.frames, 25)
"""


@pytest.mark.parametrize("name", ["curves.csv", "curves.npz"])
def test_a_killed_run_leaves_only_a_hidden_file_that_the_next_removes(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "place" / name
    write(path, overwrite=False)
    before = path.read_bytes()
    write(tmp_path / "a.csv", overwrite=False)
    command = [sys.executable, "-c", textwrap.dedent(KILLED_RUN), tmp_path / "a.csv", path]
    done = subprocess.run(command, check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 2
    write(path, overwrite=True)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["curves.csv", "curves.npz"])
def test_a_file_that_appeared_meanwhile_is_not_replaced(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="already exists"):
        write(path, overwrite=False)
    assert path.read_text(encoding="utf-8") == "mine" and list(tmp_path.iterdir()) == [path]


def write(path: Path, overwrite: bool) -> None:
    if path.suffix == ".csv":
        write_csv(path, some_frames(4), Fraction(25), overwrite=overwrite)
    else:
        write_npz(path, some_curves(np.arange(4.0), 4.0), overwrite=overwrite)


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


@pytest.mark.parametrize("relative", [False, True])
def test_npz_round_trip_is_exact_for_uneven_times(tmp_path: Path, relative: bool) -> None:
    times = np.cumsum(np.random.default_rng(1).uniform(0.02, 0.1, 40))
    written = replace(some_curves(times, float(times[-1]) + 0.05), relative=relative)
    write_npz(tmp_path / "motion.npz", written)
    curves = read_npz(tmp_path / "motion.npz")
    assert curves.relative is resample(curves, Fraction(25)).relative is relative
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


def npz_of(path: Path, change: dict, header: dict | None = None, **options) -> Path:
    """A motion file of three frames with some arrays replaced; None leaves one out."""
    curves = some_curves(np.array([0.1, 0.2, 0.3]), 0.4)
    arrays = {name: getattr(curves, name) for name in ARRAYS} | change
    about = {"schema": 2, "duration_s": 0.4, "names": ARKIT_NAMES} | (header or {})
    kept = {name: array for name, array in arrays.items() if array is not None}
    np.savez_compressed(path, header=np.array(json.dumps(about)), **kept)
    return path


ARRAYS = ("times", "expression", "rotation", "translation", "gaze", "tracked")


@pytest.mark.parametrize(
    ("change", "header"),
    [
        ({"expression": np.zeros((3, 51), np.float32)}, {}),
        ({"expression": np.zeros((2, 52), np.float32)}, {}),
        ({"expression": np.full((3, 52), 1e39)}, {}),
        ({"expression": None}, {}),
        ({"expression": np.full((3, 52), "x")}, {}),
        ({"rotation": np.zeros(3, np.float32)}, {}),
        ({"gaze": np.full((3, 2), 1e300)}, {}),
        ({"tracked": np.zeros(3)}, {}),
        ({"tracked": np.zeros(2, bool)}, {}),
        ({"times": np.array([0.3, 0.2, 0.1])}, {}),
        ({"times": np.array([0.1, np.nan, 0.3])}, {}),
        ({"times": np.array([-0.1, 0.2, 0.3])}, {}),
        ({"times": np.array(0.1)}, {}),
        ({"times": np.array([0.1, 0.2, 9.0])}, {}),
        ({}, {"duration_s": 1e9}),
        ({}, {"duration_s": float("nan")}),
        ({}, {"duration_s": "long"}),
        ({}, {"names": ["jawOpen"]}),
        ({}, {"names": 3}),
        ({}, {"schema": 99}),
        ({}, {"schema": "two"}),
        ({}, {"schema": 1, "fps": "0"}),
        ({}, {"schema": 1, "fps": "1e999999999"}),
    ],
)
def test_archives_of_anything_but_motion_are_refused(tmp_path: Path, change, header) -> None:
    with pytest.raises(InputError, match=r"motion\.npz"):
        read_npz(npz_of(tmp_path / "motion.npz", change, header))


@pytest.mark.parametrize(("name", "value", "limit"), [
    ("expression", -3.0, 0.0), ("expression", 7.0, 1.0), ("rotation", 1e4, 180.0),
    ("translation", -1e6, -1000.0), ("gaze", 400.0, 90.0),
])  # fmt: skip
def test_what_no_head_can_do_is_clamped_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, value: float, limit: float
) -> None:
    array = np.array(getattr(some_curves(np.zeros(3), 1.0), name))
    array[1] = value
    path = npz_of(tmp_path / "motion.npz", {name: array})
    curves = read_npz(path)
    np.testing.assert_array_equal(getattr(curves, name)[1], np.float32(limit))
    np.testing.assert_array_equal(getattr(curves, name)[[0, 2]], array[[0, 2]])
    assert len(caplog.records) == 1 and f"{name} in 1 frames" in caplog.text


def test_recorders_exceed_the_range_a_little_without_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("Timecode,JawOpen,JawLeft\n00:00:00:00.000,1.02,-0.01\n")
    curves = read_csv(path)
    assert curves.expression[0, ARKIT_NAMES.index("jawOpen")] == 1
    assert curves.expression[0, ARKIT_NAMES.index("jawLeft")] == 0
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("00:00:00:00.0,1e39,0\n", "finite"),
        ("00:00:00:00.0,0,1e300\n", "finite"),
        ("00:00:00:00.0,0\n", "cannot be read"),
        ("00:00:nan:00.0,0,0\n", "cannot be read"),
        ("1e999:00:00:00.0,0,0\n", "cannot be read"),
        ("00:00:00,0,0\n", "timecode 00:00:00"),
        (f"00:00:00:00.0,{'1' * 200_000},0\n", "cannot be read"),
    ],
)
def test_rows_that_make_no_motion_are_refused(tmp_path: Path, rows: str, words: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text("Timecode,JawOpen,HeadYaw\n" + rows)
    with pytest.raises(InputError, match=words):
        read_csv(path)


def test_a_weight_far_below_zero_does_not_fold_the_chin(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("Timecode,JawOpen\n00:00:00:00.0,-3\n00:00:00:01.0,0.5\n")
    curves = read_csv(path)
    assert curves.expression[:, ARKIT_NAMES.index("jawOpen")].tolist() == [0, 0.5]
    assert len(caplog.records) == 1 and "clamped" in caplog.text


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "motion.npz"
    npz_of(path, {"times": None})
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("times.npy", "w", force_zip64=True) as member,
    ):
        for _ in range(513):
            member.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(InputError, match="unpacks to more than 512 MB"):
        read_npz(path)
    assert tracemalloc.get_traced_memory()[1] < 20 << 20  # the file itself has 2 MB
    tracemalloc.stop()


def test_an_array_that_claims_more_than_it_holds_reserves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "motion.npz"
    npz_of(path, {"times": None})
    head = io.BytesIO()
    shape = {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)}
    np.lib.format.write_array_header_1_0(head, shape)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("times.npy", head.getvalue())
    with pytest.raises(InputError, match="not as long as its header says"):
        read_npz(path)


def test_mutated_archives_are_read_or_refused(tmp_path: Path) -> None:
    """300 files of one to sixteen changed bytes; seeded, some two seconds."""
    path = npz_of(tmp_path / "motion.npz", {})
    original, rng = path.read_bytes(), np.random.default_rng(7)
    read = 0
    for _ in range(300):
        content = bytearray(original)
        for place in rng.integers(0, len(content), rng.integers(1, 17)):
            content[place] = rng.integers(0, 256)
        path.write_bytes(bytes(content))
        try:
            assert len(read_npz(path)) == 3
            read += 1
        except InputError as error:
            assert error.fix
    # Names and attributes in the zip's directory may change without harm, little else.
    assert read < 100


def test_mutated_tables_are_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_csv(path, some_frames(4), Fraction(25))
    original, rng = path.read_bytes(), np.random.default_rng(8)
    for _ in range(300):
        content = bytearray(original)
        for place in rng.integers(0, len(content), rng.integers(1, 17)):
            content[place] = rng.integers(0, 256)
        path.write_bytes(bytes(content))
        try:
            curves = read_csv(path)
            assert np.isfinite(curves.rotation).all() and curves.expression.max(initial=0) <= 1
        except InputError as error:
            assert "table.csv" in str(error)
