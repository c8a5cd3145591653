"""Which instructions kernels use, and taking the wider ones away."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from llvmlite import binding as llvm

from talkcli.bench import isa
from talkcli.errors import UsageError

x86 = pytest.mark.skipif(
    not isa._has_avx2(), reason="there is no AVX2 here that could be told or chosen"
)

#: What a process and its child compile for, after a restriction.
_RESTRICTED = """
import subprocess, sys
from talkcli.bench.isa import compiled_for, restrict
restrict("avx2")
print(compiled_for())
told = "from talkcli.bench.isa import compiled_for; print(compiled_for())"
print(subprocess.check_output([sys.executable, "-c", told], text=True).strip())
import torch
print(torch.backends.cpu.get_cpu_capability())
"""


def python(code: str, **variables: str) -> list[str]:
    """What a fresh process prints."""
    clean = {name: value for name, value in os.environ.items() if name not in isa.AVX2}
    return subprocess.check_output(
        [sys.executable, "-c", code], text=True, env={**clean, **variables}
    ).split()


@x86
def test_the_process_and_its_children_are_restricted() -> None:
    assert python(_RESTRICTED) == ["avx2", "avx2", "AVX2"]


@x86
@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"NUMBA_CPU_NAME": "generic"}, "sse"),
        ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}, "avx2"),
        ({"NUMBA_CPU_NAME": "skylake-avx512", "NUMBA_CPU_FEATURES": ""}, "avx512f"),
        # Its name does not take away what the machine is said to have.
        ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx512f"}, "avx512f"),
    ],
)
def test_numbas_variables_count(variables: dict[str, str], told: str) -> None:
    code = "from talkcli.bench.isa import compiled_for; print(compiled_for())"
    assert python(code, **variables) == [told]


@x86
def test_kernels_for_other_instructions_lie_in_files_of_their_own(tmp_path: Path) -> None:
    """Neither replaces the other, and neither is compiled twice."""
    kernel = tmp_path / "kernel_of_a_test.py"
    kernel.write_text(
        "from talkcli.kernels.jit import kernel\n\n\n@kernel\ndef twice(x):\n    x[0] *= 2\n"
    )
    code = (
        "from talkcli import runtime; runtime.configure()\n"
        "import numpy; from kernel_of_a_test import twice\n"
        "twice(numpy.ones(1)); print(len(twice.compiled), len(twice.loaded))"
    )
    place = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.pathsep.join(sys.path)}"}
    place |= {"TALKCLI_CACHE": str(tmp_path / "cache"), "NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    compiled, loaded = ["1", "1"], ["0", "1"]
    generic = {**place, "NUMBA_CPU_NAME": "generic"}
    turns = [python(code, **chosen) for chosen in (place, generic, place, generic)]
    assert turns == [compiled, compiled, loaded, loaded]


def test_native_leaves_everything_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(os.environ)
    isa.restrict("native")
    assert dict(os.environ) == before


def test_a_machine_without_avx2_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llvm, "get_host_cpu_features", lambda: {"neon": True})
    with pytest.raises(UsageError, match=re.escape("this machine has no AVX2")):
        isa.restrict("avx2")


@x86
def test_loaded_libraries_cannot_be_restricted() -> None:
    assert "numba" in sys.modules
    before = dict(os.environ)
    with pytest.raises(UsageError, match="once numba or torch is loaded"):
        isa.restrict("avx2")
    assert dict(os.environ) == before
