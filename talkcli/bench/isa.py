"""The instruction set that kernels are compiled for, and taking the wider one away.

Imports nothing heavy: :func:`restrict` has to come before numba, numpy's BLAS and torch are loaded.
"""

from __future__ import annotations

import os
import sys

from talkcli.errors import UsageError

#: What ``talkcli bench --isa`` takes.
CHOICES = ("native", "avx2")

#: What the libraries read at import to leave out AVX-512. ffmpeg, OpenCV and MediaPipe's networks
#: have no such switch that leaves the rest of them as it is.
AVX2 = {
    # numba compiles for this processor. Its name alone does not suffice: numba adds the features
    # that it finds on the machine, unless they are given.
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+avx2,+fma",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": " ".join(
        f"AVX512{part}" for part in ("F", "CD", "_KNL", "_KNM", "_SKX", "_CLX", "_CNL", "_ICL")
    ),
}

#: Adds sixteen integers: one AVX-512 instruction, two AVX2, four NEON or SSE. AVX without the 2 has
#: none for eight.
_PROBE = """
define void @add(<16 x i32>* %place) {
  %values = load <16 x i32>, <16 x i32>* %place
  %sums = add <16 x i32> %values, %values
  store <16 x i32> %sums, <16 x i32>* %place
  ret void
}
"""


def restrict(isa: str) -> None:
    """Keep this process and its children from using wider instructions than the named ones.

    Args:
        isa: one of ``CHOICES``; ``native`` changes nothing.

    Raises:
        UsageError: no such name, this machine has no AVX2, or numba or torch is loaded already.
    """
    if isa not in CHOICES:
        raise UsageError(f"there is no instruction set {isa!r} to choose", "give native or avx2")
    if isa == "native":
        return
    if not _has_avx2():
        raise UsageError("this machine has no AVX2, so nothing can be measured with it",
                         "omit --isa avx2")  # fmt: skip
    if "numba" in sys.modules or "torch" in sys.modules:
        raise UsageError(
            "the instruction set cannot change once numba or torch is loaded",
            "run talkcli bench --isa avx2 as a command of its own",
        )
    os.environ.update(AVX2)


def compiled_for() -> str:
    """``avx512f``, ``avx2``, ``sse`` or ``neon``: what kernels of this process use.

    It is read from the machine code that LLVM makes with numba's settings, so that variables such
    as ``NUMBA_CPU_NAME`` count. Other processors are told by LLVM's name of their architecture.
    """
    from llvmlite import binding as llvm
    from numba.core.registry import cpu_target

    triple, name, features = cpu_target.target_context.codegen().magic_tuple()
    target = llvm.Target.from_triple(triple)
    machine = target.create_target_machine(cpu=name, features=features, opt=2)
    code = machine.emit_assembly(llvm.parse_assembly(_PROBE))
    architecture = triple.split("-")[0]
    if architecture in ("aarch64", "arm64"):
        return "neon"
    if architecture != "x86_64":
        return str(architecture)
    return "avx512f" if "%zmm" in code else "avx2" if "%ymm" in code else "sse"


def _has_avx2() -> bool:
    from llvmlite import binding as llvm

    return bool(llvm.get_host_cpu_features().get("avx2", False))
