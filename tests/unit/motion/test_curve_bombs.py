"""Small files that want much memory: curves are read no further than a recording goes."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from talkcli.errors import InputError
from talkcli.motion import curves
from talkcli.motion.curves import read_csv, read_npz
from talkcli.types import ARKIT_NAMES


def bomb(path: Path, compression: int, megabytes: int) -> None:
    """An archive whose directory says 64 bytes where ``megabytes`` are packed."""
    header, packed = io.BytesIO(), io.BytesIO()
    names = {"schema": 2, "duration_s": 1.0, "names": ARKIT_NAMES}
    np.save(header, np.array(json.dumps(names)))
    with zipfile.ZipFile(packed, "w", compression) as archive:
        archive.writestr("header.npy", header.getvalue())
        with archive.open("expression.npy", "w") as member:
            for _ in range(megabytes):
                member.write(bytes(1 << 20))
    content = bytearray(packed.getvalue())
    entry = content.rfind(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = struct.pack("<I", 64)
    path.write_bytes(content)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_that_understates_its_size_is_not_unpacked_further(
    tmp_path: Path, compression: int
) -> None:
    bomb(tmp_path / "bomb.npz", compression, 60)
    tracemalloc.start()
    with pytest.raises(InputError, match=r"bomb\.npz cannot be read as motion"):
        read_npz(tmp_path / "bomb.npz")
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Timecode,JawOpen\n" + "0:0:0:0,0\n" * 101, "more than 100 frames"),
        ("Timecode,JawOpen" + "," * 100_000 + "\n", "characters or more"),
        ("Timecode,JawOpen\n0:0:0:0,0" + "," * 100_000 + "\n", "row 1 has"),
        ('Timecode,JawOpen\n"' + "0:0:0:0,0\n" * 50, "row that cannot be read"),
    ],
)
def test_a_table_is_read_no_further_than_a_recording_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    monkeypatch.setattr(curves, "_MOST_FRAMES", 100)
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        read_csv(tmp_path / "table.csv")
