"""Motion curves as files: the CSV that Live Link Face records, and NPZ.

The CSV has a timecode, a count and 61 values per row: the 52 ARKit weights, then yaw, pitch and
roll of head, left eye and right eye in radians, with the signs of ``docs/conventions.md``. It does
not store the translation of the head; NPZ stores everything.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import os
import re
import zipfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np

from talkcli.errors import InputError
from talkcli.files.check import check_readable, explained_writes, parse_json
from talkcli.files.output import PendingOutput
from talkcli.types import ARKIT_NAMES, MotionCurves, MotionFrame

_log = logging.getLogger(__name__)

SCHEMA = 2
#: Suffixes of files that hold curves rather than a clip.
CURVE_SUFFIXES = (".csv", ".npz")

_ROTATIONS = tuple(
    f"{part}{angle}"
    for part in ("Head", "LeftEye", "RightEye")
    for angle in ("Yaw", "Pitch", "Roll")
)
_DAY_S = 86400.0
_LEAST_RISING = 0.9  # smallest share of rows whose timecode rises
#: Ten hours at 60 frames per second, and their size in bytes as text or unpacked.
_MOST_FRAMES, _MOST_BYTES = 2_200_000, 1 << 29
#: What NPZ files use. Others are unpacked without a limit.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: A row of Live Link Face has about 600 characters.
_LONGEST_ROW = 1 << 16
#: Numbers per frame and their largest magnitude: weights are 0 to 1, heads turn by at most half a
#: circle, eyes by a quarter, and faces are found within ten metres. Degrees and cm.
_PARTS = {
    "expression": (len(ARKIT_NAMES), 1.0),
    "rotation": (3, 180.0),
    "translation": (3, 1000.0),
    "gaze": (2, 90.0),
}
#: Recorders sometimes exceed the range slightly; that is clamped without a warning.
_TOLERATED = 0.05
_ARRAYS = ("times", "expression", "rotation", "translation", "gaze", "tracked")
_COLUMNS = tuple(name[0].upper() + name[1:] for name in ARKIT_NAMES) + _ROTATIONS
#: Frame rates of recorders and clips; a timecode does not state its own.
_NOMINAL_RATES = (24, 25, 30, 50, 60, 120)
_LEAST_EVEN = 0.9  # share of rows whose frame numbers must agree on a rate


def write_csv(
    path: Path, frames: Iterable[MotionFrame], fps: Fraction, *, overwrite: bool = True
) -> None:
    """Write frames in the format of Live Link Face. The file appears complete or not at all.

    Args:
        path: the file; missing folders are made.
        frames: frame ``i`` shows from ``i / fps`` seconds of the timecode on.
        fps: frames per second; broadcast rates count nominal frames, as timecodes do.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: the place is taken, not writable or full.
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
    with PendingOutput(path, overwrite=overwrite) as pending:
        pending.write(text.getvalue().encode())
        pending.commit()


def read_csv(path: Path) -> MotionCurves:
    """Read a file written by Live Link Face or ``write_csv``.

    Columns are found by name in any case and order; missing weights and rotations are zero. The
    rotations of both eyes are averaged.

    Raises:
        InputError: the file is missing or not such a table, or holds values that no motion has.
    """
    try:
        table, times = _read_table(path)
    except (ValueError, IndexError, OverflowError) as error:
        raise InputError(f"{path} has a row that cannot be read ({error})") from error
    return _checked(path, _curves(path, table, times))


def write_npz(path: Path, curves: MotionCurves, *, overwrite: bool = True) -> None:
    """Write curves without loss, also uneven times. The file appears complete or not at all.

    Args:
        path: the file; missing folders are made.
        curves: what to write.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: the place is taken, not writable or full.
    """
    with PendingOutput(path, overwrite=overwrite) as pending:
        with explained_writes(path), pending.temp.open("wb") as file:
            save_npz(file, curves)
        pending.commit()


def save_npz(file: BinaryIO, curves: MotionCurves) -> None:
    """As :func:`write_npz`, into a file that is open already."""
    header = {"schema": SCHEMA, "duration_s": curves.duration_s, "names": ARKIT_NAMES}
    if curves.relative:
        header["relative"] = True
    arrays = {name: getattr(curves, name) for name in _ARRAYS}
    np.savez_compressed(file, header=np.array(json.dumps(header)), **arrays)


def read_npz(path: Path) -> MotionCurves:
    """Read a file of ``write_npz``, also of schema 1, which had a frame rate instead of times.

    Raises:
        InputError: the file is missing, damaged or of a newer schema, or holds values that no
            motion has.
    """
    try:
        arrays = _read_archive(path)
        header = parse_json(str(arrays.pop("header")))
        if header["schema"] > SCHEMA or tuple(header["names"]) != ARKIT_NAMES:
            raise InputError(f"{path} has motion of schema {header['schema']}", "update talkcli")
        if any(array.dtype.kind not in "biuf" for array in arrays.values()):
            raise ValueError("an array holds no numbers")
        count = len(arrays["expression"])
        if header["schema"] == 1:
            # Fraction would expand 1e999999999 digit by digit.
            if not re.fullmatch(r"[1-9]\d{0,8}(/[1-9]\d{0,8})?", header["fps"]):
                raise ValueError("no frame rate")
            fps = float(Fraction(header["fps"]))
            arrays |= {"times": (np.arange(count) + 0.5) / fps, "tracked": np.ones(count, bool)}
            header["duration_s"] = count / fps
        duration_s = float(header["duration_s"])
        relative = header.get("relative", False) is True
        curves = MotionCurves(**arrays, duration_s=duration_s, relative=relative)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path} cannot be read as motion ({error})", "make it again") from error
    return _checked(path, curves)


def _read_archive(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an NPZ file by name, after a check of their sizes in its directory."""
    with zipfile.ZipFile(path) as archive:
        members = {item.filename.removesuffix(".npy"): item for item in archive.infolist()}
        wanted = {name: members[name] for name in ("header", *_ARRAYS) if name in members}
        if sum(item.file_size for item in wanted.values()) > _MOST_BYTES:
            raise ValueError(f"it unpacks to more than {_MOST_BYTES >> 20} MB")
        if any(item.compress_type not in _COMPRESSIONS for item in wanted.values()):
            raise ValueError("it is compressed in another way than NPZ files are")
        return {name: _unpack(_stated(archive, item)) for name, item in wanted.items()}


def _stated(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> bytes:
    """The contents of a member; ``ZipFile.read`` would unpack more than the directory states."""
    with archive.open(item) as stream:
        return stream.read(item.file_size + 1)


def _unpack(content: bytes) -> np.ndarray:
    """An array from NPY data; ``np.load`` would allocate whatever the header asks for."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, column_major, dtype = read_header(stream)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError("an array is not as long as its header says")
    array = np.frombuffer(content, dtype, math.prod(shape), stream.tell())
    return array.reshape(shape, order="F" if column_major else "C").copy()


def _checked(path: Path, curves: MotionCurves) -> MotionCurves:
    """The curves in single precision, clamped to what a head can do.

    Raises:
        InputError: shapes, times or numbers are impossible.
    """
    times, again = np.atleast_1d(curves.times).astype(np.float64), "record or export it again"
    count = len(times)
    if count > _MOST_FRAMES:
        raise InputError(f"{path} holds {count} frames, more than {_MOST_FRAMES}", "cut it")
    parts: dict[str, Any] = {}
    outside: dict[str, int] = {}
    for name, (width, limit) in _PARTS.items():
        # Numbers beyond single precision become infinite and are caught below.
        with np.errstate(over="ignore"):
            values = np.asarray(getattr(curves, name)).astype(np.float32, copy=False)
        if values.shape != (count, width):
            raise InputError(f"{path} has {name} of shape {list(values.shape)}", again)
        if not np.isfinite(values).all():
            raise InputError(f"{path} holds a number in {name} that is not finite", again)
        low, high = (0.0, 1.0) if name == "expression" else (-limit, limit)
        wrong = (values < low - _TOLERATED) | (values > high + _TOLERATED)
        if wrong.any():
            outside[name] = int(wrong.any(1).sum())
        if values.size and (values.min() < low or values.max() > high):
            values = np.clip(values, low, high)
        parts[name] = values
    tracked = np.asarray(curves.tracked)
    rising = times.shape == (count,) and bool((np.diff(times, prepend=0.0) >= 0).all())
    fits = rising and tracked.shape == (count,) and tracked.dtype == bool
    if not (fits and np.append(0.0, times)[-1] <= curves.duration_s + 1e-6 <= _DAY_S + 1):
        raise InputError(f"{path} has frames at times that do not rise within a day", again)
    if outside:
        worst = ", ".join(f"{name} in {rows} frames" for name, rows in outside.items())
        _log.warning("%s leaves the range of what a head can do (%s): clamped to it", path, worst)
    return replace(curves, times=times, tracked=tracked, **parts)


def resample(curves: MotionCurves, fps: Fraction) -> MotionCurves:
    """The same motion interpolated at an even rate, frame ``i`` at ``(i + 0.5) / fps`` seconds."""
    count = max(1, round(Fraction(curves.duration_s) * fps))
    times = (np.arange(count) + 0.5) / float(fps)
    nearest = np.clip(np.searchsorted(curves.times, times), 0, len(curves) - 1)
    parts: dict[str, Any] = {
        name: np.stack(
            [np.interp(times, curves.times, column) for column in getattr(curves, name).T], 1
        ).astype(np.float32)
        for name in ("expression", "rotation", "translation", "gaze")
    }
    return replace(
        curves, times=times, tracked=curves.tracked[nearest], duration_s=count / float(fps), **parts
    )


def _read_table(path: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Columns by name in lower case, and the times of the rows.

    Raises:
        InputError: the file is missing or not a table of curves.
        ValueError: a row cannot be read.
        IndexError: a row is too short.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            if os.fstat(file.fileno()).st_size > _MOST_BYTES:
                raise InputError(f"{path} is larger than {_MOST_BYTES >> 20} MB", "cut it")
            rows = _rows(path, file)
            header = [name.strip().lower() for name in next(rows, [])]
            wanted = {column.lower() for column in _COLUMNS}
            columns = [k for k, name in enumerate(header) if name in wanted]
            if "timecode" not in header or not columns:
                raise InputError(
                    f"{path} is not a Live Link Face table", "it needs a Timecode and ARKit columns"
                )
            place, codes, numbers = header.index("timecode"), [], array("d")
            for row in rows:
                if row:
                    codes.append(row[place])
                    numbers.extend(float(row[k]) for k in columns)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as expression curves ({error})") from error
    table = np.array(numbers).reshape(-1, len(columns)).T
    if not np.isfinite(table).all():
        raise ValueError("not a finite number")
    return {header[k]: column for k, column in zip(columns, table, strict=True)}, _times(codes)


def _rows(path: Path, file: TextIO) -> Iterator[list[str]]:
    """The header and the rows of a table, no more and no longer ones than a recording has.

    Raises:
        InputError: too many rows.
        ValueError: a row is too long.
    """
    # One line at a time: no value contains a line break, and a quote that is never closed would
    # swallow the rest of the file.
    count = 0
    while line := file.readline(_LONGEST_ROW):
        if len(line) == _LONGEST_ROW:
            raise ValueError(f"row {count} has {_LONGEST_ROW} characters or more")
        if count > _MOST_FRAMES:
            raise InputError(f"{path} holds more than {_MOST_FRAMES} frames", "cut it")
        yield next(csv.reader([line]), [])
        count += 1


def _timecode(index: int, nominal: int) -> str:
    seconds, frame = divmod(index, nominal)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours % 24:02d}:{minutes:02d}:{seconds:02d}:{frame:02d}.000"


def _times(codes: Sequence[str]) -> np.ndarray:
    """Seconds since the first row, from ``HH:MM:SS:FF.fff`` timecodes."""
    parts = np.array([[float(p) for p in code.replace(";", ":").split(":")] for code in codes])
    if not len(parts):
        return np.zeros(0)
    if parts.shape[1] != 4:
        raise ValueError(f"timecode {codes[0]}")
    whole = parts[:, :3] @ (3600.0, 60.0, 1.0)
    seconds = whole + parts[:, 3] / _rate(whole, parts[:, 3])
    if not np.isfinite(seconds).all():
        raise ValueError("a timecode is not finite")
    return (seconds - seconds[0]) % _DAY_S


def _rate(whole: np.ndarray, numbers: np.ndarray) -> float:
    """Frames per second of timecodes, from whole seconds and frame numbers.

    Where the numbers rise evenly, the rate shows at the turn of every second: after 13, 14 comes 0,
    so it is 15. Otherwise frames are missing, and the next higher usual rate is taken. A file that
    lies within one second does not show its rate; the recorder's default is 60.
    """
    turns, steps = np.diff(whole) % _DAY_S == 1, np.diff(numbers)
    inside = steps[np.diff(whole) == 0]
    step = float(np.median(inside)) if len(inside) else 1.0
    rates = np.round(step - steps[turns])
    highest = float(numbers.max()) + 1e-9
    if len(rates):
        rate = float(np.median(rates))
        even = (np.abs(inside - step) < 0.1).sum() + (rates == rate).sum()
        if rate > highest and even >= _LEAST_EVEN * (len(inside) + len(rates)):
            return rate
    fits = [rate for rate in _NOMINAL_RATES if rate > highest]
    if not fits:
        return highest + 1
    return fits[0] if len(np.unique(whole)) > 1 else 60


def _curves(path: Path, table: dict[str, np.ndarray], starts: np.ndarray) -> MotionCurves:
    # Recorders sometimes repeat a timecode; more than that is not a recording.
    steps = np.diff(starts, prepend=-1.0)
    rising = steps > 0
    # Times continue past midnight, so a step back looks like one of almost a day.
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
        expression=weights,
        rotation=head,
        translation=np.zeros((count, 3), np.float32),
        gaze=np.degrees(np.stack(eyes, 1)),
        tracked=np.ones(count, bool),
        duration_s=duration_s,
    )


def is_curves(path: Path) -> bool:
    """Whether a file holds curves rather than a clip, by its suffix."""
    return path.suffix.lower() in CURVE_SUFFIXES


def load_curves(path: Path) -> MotionCurves:
    """Read curves from a CSV or NPZ file.

    Raises:
        InputError: the file cannot be read or holds no frame.
    """
    check_readable(path, "expression curves")
    curves = read_npz(path) if path.suffix.lower() == ".npz" else read_csv(path)
    if not len(curves):
        raise InputError(f"{path} holds no frame", "record or export it again")
    return curves
