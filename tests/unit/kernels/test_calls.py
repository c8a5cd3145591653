"""Calls of kernels: arguments of other types never reach machine code that was made for these."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkcli.kernels import jit, store


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(store, "folder", lambda: tmp_path)


def scale(arrays: Any, factor: float, offset: Any, rows: int) -> int:
    source, target = arrays
    for y in range(rows):
        for x in range(source.shape[1]):
            target[y, x] = source[y, x] * factor
            if offset is not None:
                target[y, x] += offset[x]
    return source.shape[0] * 10 + source.shape[1]


def sizes(a: np.ndarray, out: np.ndarray) -> None:
    out[0], out[1], out[2] = a.shape[0], a.shape[1], a.shape[2]
    out[3], out[4], out[5] = a.strides[0], a.strides[1], a.strides[2]


SOURCE = np.arange(6.0, dtype=np.float32).reshape(2, 3)


def check(function: Any, source: Any, factor: Any, offset: Any = None) -> None:
    target, slow = np.zeros((2, 3)), np.zeros((2, 3))
    told = function((source, target), factor, offset, 2)
    assert told == scale((source, slow), factor, offset, 2) == 23
    np.testing.assert_array_equal(target, slow)


def test_every_kind_of_argument_arrives() -> None:
    function = jit.kernel(scale)
    for factor in (2, 2.5, np.float32(0.5), np.int64(3), np.float64(0.25)):
        check(function, SOURCE, factor)
        check(function, SOURCE, factor, np.arange(3))
    assert len(function.loaded) == 2 * 3  # Python's and numpy's numbers of 64 bits are the same


def test_other_dtypes_and_layouts_get_code_of_their_own() -> None:
    function = jit.kernel(scale)
    frozen = SOURCE.copy()
    frozen.flags.writeable = False
    for source in (
        *(SOURCE, SOURCE.astype(np.float64), SOURCE.astype(np.int16), SOURCE),
        *(np.asfortranarray(SOURCE), np.repeat(SOURCE, 2, 1)[:, ::2], frozen, SOURCE[::-1]),
        SOURCE.astype(">f4").astype(np.float32),
    ):
        check(function, source, 2.0)
    # Arrays that are not contiguous or may not be written are numba's own business.
    assert len(function.loaded) == 3


def test_fewer_dimensions_are_noticed() -> None:
    function, out = jit.kernel(sizes), np.zeros(6, np.int64)
    function(np.zeros((2, 3, 5)), out)
    assert out.tolist() == [2, 3, 5, 120, 40, 8]
    for wrong in (np.zeros(7), np.zeros(()), np.zeros((2, 3))):
        with pytest.raises(Exception, match=r"tuple index|getitem|Invalid use|out of range|static"):
            function(wrong, out)


def test_empty_arrays_have_their_sizes() -> None:
    function, out = jit.kernel(sizes), np.zeros(6, np.int64)
    function(np.zeros((0, 3, 5), np.uint8), out)
    assert out.tolist() == [0, 3, 5, 15, 5, 1]


def divide(values: np.ndarray, by: float) -> None:
    values[0] = 1.0 / by


def test_divisions_by_zero_are_errors_where_they_are_asked_for() -> None:
    values = np.ones(1)
    with pytest.raises(ZeroDivisionError):
        jit.kernel(error_model="python")(divide)(values, 0.0)
    jit.kernel(divide)(values, 0.0)
    assert np.isinf(values[0])


def test_parts_of_kernels_cannot_be_called_from_python() -> None:
    from talkcli.kernels.simd import splat

    for part in (jit.helper(divide), splat):
        with pytest.raises(TypeError, match="in kernels only"):
            part(1.0)


def test_stored_kernels_need_no_numba(tmp_path: Path) -> None:
    """numba is half of what comes before the first frame."""
    code = (
        "import sys, numpy as np\n"
        "from talkcli import runtime\nruntime.configure()\n"
        "from talkcli.kernels import prepare\nprepare.compile_kernels(lambda: None)\n"
        "from talkcli.render.solid import solidify\n"
        "solidify(np.ones((4, 4, 3), np.float32), np.ones((4, 4), np.float32))\n"
        "import talkcli.render.cpu.raster, talkcli.engines.portrait.avatar\n"
        "print([name for name in ('numba', 'torch', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.stdout.strip() == "[]", done.stderr
