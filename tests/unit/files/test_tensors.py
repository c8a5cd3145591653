"""Arrays in files: what is written comes back, what does not fit its schema does not."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import save_file

from talkcli.errors import InputError
from talkcli.files.tensors import Header, Rule, Tensors, TensorSchema

GOOD = {
    "points": np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3),
    "pairs": np.array([[0, 1], [3, 2]], np.int32),
    "half": np.array([0.5, 0.25, 1.0, 0.0], np.float16),
}


def _halve(tensors: Tensors, header: Header) -> None:
    tensors["points"] /= 2


def _name(tensors: Tensors, header: Header) -> None:
    header["name"] = "of old"


SCHEMA = TensorSchema(
    title="thing",
    version=3,
    mend="make it again",
    rules={
        "points": Rule("N 3", low=-2, high=2),
        "pairs": Rule("P 2", "i", low=0, high="N"),
        "half": Rule("N"),
        "extra": Rule("N", "u", optional=True),
    },
    migrations={1: _halve, 2: _name},
)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "thing.safetensors"
    SCHEMA.write(path, GOOD, {"name": "é"})
    tensors, header = SCHEMA.read(path)
    assert header == {"schema": 3, "name": "é"}
    assert tensors["half"].dtype == np.float32
    for name, array in GOOD.items():
        np.testing.assert_array_equal(tensors[name], array)
    assert [p.name for p in tmp_path.iterdir()] == ["thing.safetensors"]
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(("version", "scale", "name"), [(1, 0.5, "of old"), (2, 1.0, "of old")])
def test_older_files_are_migrated_step_by_step(
    tmp_path: Path, version: int, scale: float, name: str
) -> None:
    path = tmp_path / "thing.safetensors"
    save_file(GOOD, path, {"talkcli": json.dumps({"schema": version})})
    tensors, header = SCHEMA.read(path)
    np.testing.assert_array_equal(tensors["points"], scale * GOOD["points"])
    assert header["name"] == name


def test_a_header_beside_the_file_is_read(tmp_path: Path) -> None:
    save_file(GOOD, tmp_path / "thing.safetensors")
    (tmp_path / "thing.json").write_text('{"schema": 2}')
    _, header = SCHEMA.read(tmp_path / "thing.safetensors", tmp_path / "thing.json")
    assert header["name"] == "of old"
    with pytest.raises(InputError, match="schema None"):
        SCHEMA.read(tmp_path / "thing.safetensors")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"points": np.zeros((4, 2), np.float32)}, r"points is float32 \[4, 2\] where f \[N, 3\]"),
        ({"points": np.zeros((5, 3), np.float32)}, r"half is"),
        ({"points": np.full((4, 3), np.nan, np.float32)}, "points is not finite"),
        ({"points": np.full((4, 3), 3, np.float32)}, "points reaches from 3.0 to 3.0"),
        ({"points": np.zeros((4, 3), np.int32)}, "where f"),
        ({"pairs": np.array([[0, 4]], np.int32)}, "out of its range"),
        ({"pairs": np.array([[-1, 0]], np.int32)}, "out of its range"),
        ({"half": np.array([0, np.inf, 0, 0], np.float16)}, "half is not finite"),
        ({"extra": np.zeros(3, np.uint8)}, "extra is"),
        ({"unknown": np.array([np.nan])}, "unknown is not finite"),
        ({"half": None}, "lacks 'half'"),
    ],
)
def test_contents_that_do_not_fit_are_refused(tmp_path: Path, change: dict, words: str) -> None:
    path = tmp_path / "thing.safetensors"
    arrays = {name: array for name, array in (GOOD | change).items() if array is not None}
    save_file(arrays, path, {"talkcli": '{"schema": 3}'})
    with pytest.raises(InputError, match=words) as caught:
        SCHEMA.read(path)
    assert str(path) in str(caught.value) and caught.value.fix == "make it again"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ('{"schema": 99}', "schema 99, this version reads 1 and 2 and 3"),
        ("[1]", "no table"),
        ("{", "damaged"),
        ('{"schema": NaN}', "finite"),
        ("[" * 100_000, "nested too deeply"),
        ("{}", "schema None"),
    ],
)
def test_headers_that_cannot_be_read_are_refused(tmp_path: Path, header: str, words: str) -> None:
    path = tmp_path / "thing.safetensors"
    save_file(GOOD, path, {"talkcli": header})
    with pytest.raises(InputError, match=words):
        SCHEMA.read(path)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\xff" * 4096])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "thing.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        SCHEMA.read(path)
    with pytest.raises(InputError, match="cannot be read"):
        SCHEMA.read(tmp_path / "missing")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_is_an_input_error_and_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = tmp_path / "thing.safetensors"
    SCHEMA.write(path, GOOD, {})
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise SafetensorError(f"Error while serializing: I/O error: x (os error {code})")

    monkeypatch.setattr("safetensors.numpy.save_file", fail)
    with pytest.raises(InputError, match="no space is left to write thing"):
        SCHEMA.write(path, GOOD, {})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["thing.safetensors"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs limits of a process")
def test_a_file_that_may_not_grow_is_an_input_error(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import resource, sys\nfrom pathlib import Path\nimport numpy as np\n"
        "from talkcli.errors import InputError\nfrom talkcli.files.tensors import TensorSchema\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n    TensorSchema('thing', 1, 'mend', {}).write("
        "Path(sys.argv[1]), {'a': np.zeros(99999)}, {})\n"
        "except InputError as error:\n    print(error)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.safetensors")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "no space is left to write a.safetensors" in run.stdout, run.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    path = tmp_path / "thing.safetensors"
    path.symlink_to(tmp_path / "precious")
    SCHEMA.write(path, GOOD, {})
    assert (tmp_path / "precious").read_text() == "precious"
    assert not path.is_symlink()
