"""Machine code of kernels: loaded by LLVM alone, and called with addresses of numpy's arrays.

A call hands over one block of eight bytes per value: the addresses of the dtypes that it expects,
then of each array's object, and the numbers. The code compares dtype, number of dimensions and
flags in numpy's own structures (:mod:`talkcli.kernels.compiler` writes it), which
takes nanoseconds; in Python, this took longer than many a kernel.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

#: What a call returns if the code is not for these arrays.
MISMATCH = object()
#: What machine code returns: all went well, other arrays are needed, a division by zero.
DONE, OTHER, FAILED = 0, 1, 2

#: Offsets in numpy's structure of an array (PyArrayObject_fields, the same since numpy 1.7).
DATA, DIMENSIONS_COUNT, DIMENSIONS, DTYPE, FLAGS = 16, 24, 32, 56, 64
#: Contiguous in C's order, aligned and writable.
USUAL_FLAGS = 0x0001 | 0x0100 | 0x0400

_CALL = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_char_p, ctypes.c_void_p)


@dataclass(frozen=True)
class Stored:
    """Machine code as it is kept on disk.

    Attributes:
        symbol: name of the function to call.
        dtypes: names of the dtypes whose addresses come first.
        layout: of what follows, for :mod:`struct`: ``q`` addresses and integers, ``d``, ``f4x``.
        returns: whether it returns an integer.
        binary: an object file.
    """

    symbol: str
    dtypes: tuple[str, ...]
    layout: str
    returns: bool
    binary: bytes


class Loaded:
    """Machine code that can be called."""

    def __init__(self, stored: Stored, address: int) -> None:
        self._dtypes = [np.dtype(name) for name in stored.dtypes]
        first = b"".join(struct.pack("q", id(dtype)) for dtype in self._dtypes)
        self._first, self._pack = first, struct.Struct(f"={stored.layout}").pack
        self._call, self._returns = _CALL(address), stored.returns

    def __call__(self, leaves: Sequence[Any]) -> Any:
        """Run it, without the GIL.

        Args:
            leaves: the arguments without tuples and None: for arrays their objects' addresses.

        Returns:
            The kernel's result, or :data:`MISMATCH`.
        """
        result = ctypes.c_int64() if self._returns else None
        place = None if result is None else ctypes.byref(result)
        status = self._call(self._first + self._pack(*leaves), place)
        if status == DONE:
            return None if result is None else result.value
        if status == OTHER:
            return MISMATCH
        raise ZeroDivisionError("a kernel divided by zero")


def load(stored: Stored) -> Loaded:
    """Make machine code callable, until the end of the process."""
    from llvmlite import binding

    engine = _engine()
    engine.add_object_file(binding.ObjectFileRef.from_data(stored.binary))
    engine.finalize_object()
    return Loaded(stored, engine.get_function_address(stored.symbol))


@cache
def _engine() -> Any:
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(jit=True)
    return binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
