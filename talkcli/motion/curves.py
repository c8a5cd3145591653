"""Motion curves as files: the CSV that Live Link Face records, and NPZ.

The CSV has a timecode, a count and 61 values per row: the 52 ARKit weights, then yaw, pitch and
roll of head, left eye and right eye in radians, with the signs of ``docs/conventions.md``. It has
no place for the head's translation; NPZ keeps everything.
"""

from __future__ import annotations

import csv
import io
import json
import os
import uuid
import zipfile
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from talkcli.errors import InputError
from talkcli.files.atomic import TEMPORARY_PREFIX, write_text_atomic
from talkcli.types import ARKIT_NAMES, MotionCurves, MotionFrame

SCHEMA = 2

_ROTATIONS = tuple(
    f"{part}{angle}"
    for part in ("Head", "LeftEye", "RightEye")
    for angle in ("Yaw", "Pitch", "Roll")
)
_DAY_S = 86400.0
_LEAST_RISING = 0.9  # share of the rows of a recording
_ARRAYS = ("times", "expression", "rotation", "translation", "gaze", "tracked")
_COLUMNS = tuple(name[0].upper() + name[1:] for name in ARKIT_NAMES) + _ROTATIONS
#: Frame counts per second that recorders and films use; a timecode does not name its own.
_NOMINAL_RATES = (24, 25, 30, 50, 60, 120)


def write_csv(path: Path, frames: Iterable[MotionFrame], fps: Fraction) -> None:
    """Write frames as Live Link Face does; readers see the whole file or none.

    Args:
        path: the file; its folder exists.
        frames: frame ``i`` shows from ``i / fps`` seconds of the timecode on.
        fps: frames per second; broadcast rates count their nominal frames, as timecodes do.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("Timecode", "BlendShapeCount", *_COLUMNS))
    nominal = max(1, round(fps))
    for index, frame in enumerate(frames):
        eye = (*np.radians(frame.gaze), 0.0)
        values = (*frame.expression, *np.radians(frame.rotation), *eye, *eye)
        rounded = (f"{value:.6f}" for value in values)
        writer.writerow((_timecode(index, nominal), len(_COLUMNS), *rounded))
    write_text_atomic(path, text.getvalue())


def read_csv(path: Path) -> MotionCurves:
    """Read a file that Live Link Face or ``write_csv`` wrote.

    Columns are found by name, whatever their case and order; missing weights and rotations are
    zero. Both eyes' rotations are averaged.

    Raises:
        InputError: no such file, or not such a table.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as expression curves ({error})") from error
    header = [name.strip().lower() for name in rows[0]] if rows else []
    wanted = {column.lower() for column in _COLUMNS}
    if "timecode" not in header or not wanted.intersection(header):
        raise InputError(
            f"{path} is not a Live Link Face table", "it needs a Timecode and ARKit columns"
        )
    body = [row for row in rows[1:] if row]
    try:
        table = {
            name: np.array([float(row[k]) for row in body])
            for k, name in enumerate(header)
            if name in wanted
        }
        if not all(np.isfinite(values).all() for values in table.values()):
            raise ValueError("not a finite number")
        times = _times([row[header.index("timecode")] for row in body])
    except (ValueError, IndexError) as error:
        raise InputError(f"{path} has a row that cannot be read ({error})") from error
    return _curves(path, table, times)


def write_npz(path: Path, curves: MotionCurves) -> None:
    """Write curves losslessly, uneven times too. Readers see the whole file or none."""
    header = {"schema": SCHEMA, "duration_s": curves.duration_s, "names": ARKIT_NAMES}
    arrays = {name: getattr(curves, name) for name in _ARRAYS}
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, header=np.array(json.dumps(header)), **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_npz(path: Path) -> MotionCurves:
    """Read what ``write_npz`` wrote, of schema 1 too, which knew a frame rate instead of times.

    Raises:
        InputError: no such file, damaged, or of a newer schema.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            if header["schema"] > SCHEMA or tuple(header["names"]) != ARKIT_NAMES:
                raise InputError(f"{path} has motion of schema {header['schema']}")
            arrays = {name: file[name] for name in _ARRAYS if name in file}
            count = len(arrays["expression"])
            if header["schema"] == 1:
                fps = float(Fraction(header["fps"]))
                arrays |= {"times": (np.arange(count) + 0.5) / fps, "tracked": np.ones(count, bool)}
                header["duration_s"] = count / fps
            curves = MotionCurves(**arrays, duration_s=float(header["duration_s"]))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as motion ({error})") from error
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise InputError(f"{path} holds motion that is not finite", "make it again")
    return curves


def resample(curves: MotionCurves, fps: Fraction) -> MotionCurves:
    """The same motion at an even rate, frame ``i`` at ``(i + 0.5) / fps``, linearly between."""
    count = max(1, round(Fraction(curves.duration_s) * fps))
    times = (np.arange(count) + 0.5) / float(fps)
    nearest = np.clip(np.searchsorted(curves.times, times), 0, len(curves) - 1)
    parts = {
        name: np.stack(
            [np.interp(times, curves.times, column) for column in getattr(curves, name).T], 1
        ).astype(np.float32)
        for name in ("expression", "rotation", "translation", "gaze")
    }
    return MotionCurves(
        times=times, tracked=curves.tracked[nearest], duration_s=count / float(fps), **parts
    )


def _timecode(index: int, nominal: int) -> str:
    seconds, frame = divmod(index, nominal)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours % 24:02d}:{minutes:02d}:{seconds:02d}:{frame:02d}.000"


def _times(codes: Sequence[str]) -> np.ndarray:
    """Seconds from the first row, from ``HH:MM:SS:FF.fff`` timecodes."""
    parts = np.array([[float(p) for p in code.replace(";", ":").split(":")] for code in codes])
    if not len(parts):
        return np.zeros(0)
    if parts.shape[1] != 4:
        raise ValueError(f"timecode {codes[0]}")
    # Frame numbers stay below the rate; a file of less than a second shows too few to tell, and
    # the recorder's own rate is 60.
    highest = parts[:, 3].max() + 1e-9
    full_second = len(np.unique(parts[:, 2])) > 1
    fits = [rate for rate in _NOMINAL_RATES if rate > highest]
    rate = (fits[0] if full_second else 60) if fits else highest + 1
    seconds = parts[:, :3] @ (3600.0, 60.0, 1.0) + parts[:, 3] / rate
    return (seconds - seconds[0]) % _DAY_S


def _curves(path: Path, table: dict[str, np.ndarray], starts: np.ndarray) -> MotionCurves:
    # Recorders write a timecode twice now and then; more than that is no recording.
    steps = np.diff(starts, prepend=-1.0)
    rising = steps > 0
    # Times count on past midnight, so a step back looks like one of almost a day.
    if (steps > _DAY_S / 2).any() or rising.sum() < _LEAST_RISING * len(starts):
        raise InputError(f"{path} has timecodes that do not rise", "sort or record it again")
    starts, count = starts[rising], int(rising.sum())

    def column(name: str) -> np.ndarray:
        return table[name.lower()][rising] if name.lower() in table else np.zeros(count)

    weights = np.stack([column(name) for name in ARKIT_NAMES], 1)
    head = np.degrees(np.stack([column(f"Head{a}") for a in ("Yaw", "Pitch", "Roll")], 1))
    eyes = [(column(f"LeftEye{a}") + column(f"RightEye{a}")) / 2 for a in ("Yaw", "Pitch")]
    step = float(np.median(np.diff(starts))) if count > 1 else 1 / 60
    duration_s = float(starts[-1]) + step if count else 0.0
    ends = np.append(starts[1:], duration_s)[:count]
    return MotionCurves(
        times=(starts + ends) / 2,
        expression=weights.astype(np.float32),
        rotation=head.astype(np.float32),
        translation=np.zeros((count, 3), np.float32),
        gaze=np.degrees(np.stack(eyes, 1)).astype(np.float32),
        tracked=np.ones(count, bool),
        duration_s=duration_s,
    )


def is_curves(path: Path) -> bool:
    """Whether a file holds curves rather than a film, by its ending."""
    return path.suffix.lower() in CURVE_SUFFIXES


def load_curves(path: Path) -> MotionCurves:
    """Curves from a file.

    Raises:
        InputError: it cannot be read or holds no frame.
    """
    from talkcli.files.check import check_readable
    from talkcli.motion.curves import read_csv, read_npz

    check_readable(path, "expression curves")
    curves = read_npz(path) if path.suffix.lower() == ".npz" else read_csv(path)
    if not len(curves):
        raise InputError(f"{path} holds no frame", "record or export it again")
    return curves


CURVE_SUFFIXES = (".csv", ".npz")
