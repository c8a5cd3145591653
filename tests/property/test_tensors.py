"""Files of arrays: whatever is written comes back, whatever is damaged is refused in words."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from talkcli.errors import InputError
from talkcli.files.tensors import Rule, TensorSchema

FREE = TensorSchema("thing", 3, "make it again", {})
INDEXED = TensorSchema(
    "mesh", 1, "make it again", {"points": Rule("V 3"), "faces": Rule("F 3", "i", 0, "V")}
)
#: Half floats are left out: they are read as single ones, see below.
DTYPES = st.sampled_from([np.float32, np.float64, np.uint8, np.int16, np.int32, np.int64])
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
ARRAYS = DTYPES.flatmap(lambda dtype: hnp.arrays(dtype, SHAPES)).filter(
    lambda array: bool(np.isfinite(array).all())
)
NAMES = st.text("abcdefgh._ äß", min_size=1, max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
HEADERS = st.dictionaries(st.text(max_size=6).filter(lambda key: key != "schema"), JSON)


def written(schema: TensorSchema, tensors: dict[str, np.ndarray], header: dict[str, Any]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.safetensors"
        schema.write(path, tensors, header)
        assert list(Path(folder).iterdir()) == [path]
        return path.read_bytes()


def read(schema: TensorSchema, content: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.safetensors"
        path.write_bytes(content)
        return schema.read(path)


@given(st.dictionaries(NAMES, ARRAYS, max_size=4), HEADERS)
def test_arrays_and_header_come_back_bit_by_bit(
    tensors: dict[str, np.ndarray], header: dict[str, Any]
) -> None:
    again, told = read(FREE, written(FREE, tensors, header))
    assert told == {"schema": 3, **header}
    assert set(again) == set(tensors)
    for name, array in tensors.items():
        assert again[name].dtype == array.dtype and again[name].shape == array.shape
        assert again[name].tobytes() == array.tobytes()


@given(hnp.arrays(np.float16, SHAPES, elements=st.floats(-1000, 1000, width=16)))
def test_half_floats_are_read_as_single_ones_of_the_same_value(array: np.ndarray) -> None:
    again, _ = read(FREE, written(FREE, {"half": array}, {}))
    assert again["half"].dtype == np.float32
    np.testing.assert_array_equal(again["half"], array)


MESH = {"points": np.ones((7, 3), np.float32), "faces": np.arange(12, dtype=np.int32).reshape(4, 3)}
MESH["faces"] %= 7
CONTENT = written(INDEXED, MESH, {"engine": "made"})


@given(st.data())
def test_a_damaged_file_is_refused_or_fits_its_schema(data: st.DataObject) -> None:
    content = bytearray(CONTENT)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    try:
        tensors, _ = read(INDEXED, bytes(content))
    except InputError as error:
        assert error.fix and len(str(error).splitlines()) == 1
        return
    # Bytes of numbers may change unseen, but compiled code follows no index out of its memory.
    points, faces = tensors["points"], tensors["faces"]
    assert points.shape[1:] == faces.shape[1:] == (3,)
    assert np.isfinite(points).all()
    assert faces.min(initial=0) >= 0 and faces.max(initial=-1) < len(points)


@given(st.integers(-(2**31), 2**31 - 1))
def test_an_index_is_within_its_array_or_refused(index: int) -> None:
    faces = MESH["faces"].copy()
    faces[2, 1] = index
    content = written(INDEXED, MESH | {"faces": faces}, {})
    try:
        read(INDEXED, content)
    except InputError as error:
        assert not 0 <= index < 7 and "faces" in str(error)
    else:
        assert 0 <= index < 7
