"""Kernels are compiled before the first video; what goes wrong there is told, and tried again."""

from __future__ import annotations

from pathlib import Path

import pytest
from numba import types

from talkcli.errors import TalkcliError
from talkcli.kernels import prepare, store
from talkcli.kernels.signatures import parse, spell


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(store, "folder", lambda: tmp_path)
    return prepare._mark()


def test_signatures_of_the_list_can_be_read_and_written() -> None:
    for texts in prepare.needed().values():
        for text in texts:
            assert spell(parse(text)) == text


def test_signatures_name_types() -> None:
    kinds = (types.Array(types.boolean, 2, "C"), types.none, types.Tuple((types.float32,)))
    assert spell(kinds) == "(bool[2], none, (float32,),)"
    assert parse("(bool[2], none, (float32,),)") == kinds


@pytest.mark.parametrize(
    "kind", [types.Array(types.int8, 1, "A"), types.Array(types.int8, 1, "C", readonly=True)]
)
def test_arrays_that_would_need_code_of_their_own_are_refused(kind: types.Type) -> None:
    with pytest.raises(ValueError, match="no kernel should be called with"):
        spell((kind,))


@pytest.mark.parametrize("text", ["int64", "(int64 + 1,)", "(f(1),)"])
def test_other_texts_are_no_signatures(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse(text)


def test_a_kernel_that_does_not_compile_is_an_error_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, mark: Path
) -> None:
    monkeypatch.setattr(prepare, "needed", lambda: {"talkcli.kernels.jit:absent": []})
    assert not prepare.are_ready()
    with pytest.raises(TalkcliError, match=r"kernels cannot be compiled .*absent"):
        prepare.compile_kernels(lambda: None)
    assert not prepare.are_ready() and not mark.exists()


def test_kernels_of_another_processor_do_not_count(
    monkeypatch: pytest.MonkeyPatch, mark: Path
) -> None:
    mark.touch()
    assert prepare.are_ready()
    monkeypatch.setenv("NUMBA_CPU_NAME", "haswell")
    assert not prepare.are_ready()


def test_where_nothing_can_be_kept_nothing_is_compiled_ahead(
    monkeypatch: pytest.MonkeyPatch, mark: Path
) -> None:
    mark.parent.joinpath("file").touch()
    monkeypatch.setattr(store, "folder", lambda: mark.parent / "file" / "kernels")
    assert prepare.are_ready()
