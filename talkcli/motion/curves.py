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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from talkcli.errors import InputError
from talkcli.project.atomic import TEMPORARY_PREFIX, write_text_atomic
from talkcli.types import ARKIT_NAMES, MotionFrame

SCHEMA = 1

_ROTATIONS = tuple(
    f"{part}{angle}"
    for part in ("Head", "LeftEye", "RightEye")
    for angle in ("Yaw", "Pitch", "Roll")
)
_COLUMNS = tuple(name[0].upper() + name[1:] for name in ARKIT_NAMES) + _ROTATIONS
#: Frame counts per second that recorders and films use; a timecode does not name its own.
_NOMINAL_RATES = (24, 25, 30, 50, 60, 120)


@dataclass(frozen=True)
class MotionCurves:
    """A recorded motion.

    Attributes:
        times: ``[n]`` seconds from the start, rising.
        frames: ``n`` frames.
    """

    times: np.ndarray
    frames: list[MotionFrame]


def write_csv(path: Path, frames: Iterable[MotionFrame], fps: Fraction) -> None:
    """Write frames as Live Link Face does; readers see the whole file or none.

    Args:
        path: the file; its folder exists.
        frames: frame ``i`` belongs to ``i / fps`` seconds of the timecode.
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
        times = _times([row[header.index("timecode")] for row in body])
    except (ValueError, IndexError) as error:
        raise InputError(f"{path} has a row that cannot be read ({error})") from error
    return MotionCurves(times, list(_frames(table, len(body))))


def write_npz(path: Path, frames: Sequence[MotionFrame], fps: Fraction) -> None:
    """Write frames losslessly; ``fps`` is kept exactly. Readers see the whole file or none."""
    header = {"schema": SCHEMA, "fps": str(fps), "names": ARKIT_NAMES}
    arrays = {
        "expression": _stack([f.expression for f in frames], len(ARKIT_NAMES)),
        "rotation": _stack([f.rotation for f in frames], 3),
        "translation": _stack([f.translation for f in frames], 3),
        "gaze": _stack([f.gaze for f in frames], 2),
    }
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
    """Read what ``write_npz`` wrote.

    Raises:
        InputError: no such file, damaged, or of another schema.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            if header["schema"] != SCHEMA or tuple(header["names"]) != ARKIT_NAMES:
                raise InputError(f"{path} has motion of schema {header['schema']}")
            parts = [file[key] for key in ("expression", "rotation", "translation", "gaze")]
            fps = Fraction(header["fps"])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"{path} cannot be read as motion ({error})") from error
    frames = [MotionFrame(*row) for row in zip(*parts, strict=True)]
    return MotionCurves(np.arange(len(frames)) / float(fps), frames)


def _stack(rows: list[np.ndarray], width: int) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, width)


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
    return (seconds - seconds[0]) % 86400.0


def _frames(table: dict[str, np.ndarray], count: int) -> Iterator[MotionFrame]:
    def column(name: str) -> np.ndarray:
        return table.get(name.lower(), np.zeros(count))

    weights = np.stack([column(name) for name in ARKIT_NAMES], 1).astype(np.float32)
    head = np.degrees(np.stack([column(f"Head{a}") for a in ("Yaw", "Pitch", "Roll")], 1))
    eyes = [(column(f"LeftEye{a}") + column(f"RightEye{a}")) / 2 for a in ("Yaw", "Pitch")]
    gaze = np.degrees(np.stack(eyes, 1))
    for k in range(count):
        yield MotionFrame(
            expression=weights[k],
            rotation=head[k].astype(np.float32),
            translation=np.zeros(3, np.float32),
            gaze=gaze[k].astype(np.float32),
        )
