"""Kernels: compiled functions over arrays, called without the compiler being loaded.

numba compiles a kernel once per machine (:mod:`talkcli.kernels.compiler`); its machine code is kept
on disk (:mod:`talkcli.kernels.store`) and loaded by LLVM alone (:mod:`talkcli.kernels.code`). numba
and its tables take .7 s of CPU to load, half of what comes before the first frame.
:func:`talkcli.runtime.configure` names a folder after the state of all sources of kernels, since
an edited helper must not leave old machine code in use.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, overload

import numpy as np

from talkcli.kernels import code, store
from talkcli.kernels.functions import FASTMATH, Function, Helper

#: How an argument is told to machine code: arrays by address, numbers as they are.
_MARKS = {
    np.ndarray: "a", type(None): "n", int: "q", np.int64: "q", float: "d", np.float64: "d",
    np.float32: "f",
}  # fmt: skip
_SCALARS = {"n": "none", "q": "int64", "d": "float64", "f": "float32"}
_DTYPES = frozenset(
    np.dtype(name) for name in
    ("bool", "uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
     "float32", "float64")
)  # fmt: skip

#: All kernels of the modules that have been imported.
_made: list[Kernel] = []
#: One at a time looks for code, and compiles.
_finding = threading.RLock()

_log = logging.getLogger(__name__)


class Kernel(Function):
    """A compiled function, which may be called from several threads at once.

    Attributes:
        name: ``module:function``.
        loaded: machine code by signature.
        compiled: the signatures among them that were not in the cache.
    """

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        super().__init__(function, **options)
        self.name = f"{self.py_func.__module__}:{self.py_func.__qualname__}"
        self.loaded: dict[str, code.Loaded] = {}
        self.compiled: list[str] = []
        self._by_marks: dict[str, tuple[code.Loaded, ...]] = {}
        functools.update_wrapper(self, self.py_func)
        _made.append(self)

    def __call__(self, *arguments: Any) -> Any:
        """Run it.

        Args:
            *arguments: contiguous writable arrays, ``int``, ``float``, ``np.float32``, None, and
                tuples of these.

        Raises:
            ZeroDivisionError: with the error model ``python``.
        """
        marks: list[str] = []
        leaves: list[Any] = []
        _flatten(arguments, marks, leaves)
        shape = "".join(marks)
        for loaded in self._by_marks.get(shape, ()):
            result = loaded(leaves)
            if result is not code.MISMATCH:
                return result
        signature = _spell(arguments)
        if signature is None:
            return self._run_by_numba(arguments)
        loaded = self.prepare(signature)
        with _finding:
            known = self._by_marks.get(shape, ())
            if loaded not in known:
                self._by_marks[shape] = (*known, loaded)
        result = loaded(leaves)
        return self._run_by_numba(arguments) if result is code.MISMATCH else result

    def prepare(self, signature: str) -> code.Loaded:
        """Load the machine code for a signature, or compile it.

        Args:
            signature: as :mod:`talkcli.kernels.signatures` writes it.
        """
        with _finding:
            if signature not in self.loaded:
                key = self.key(signature)
                stored = store.read(self.py_func, key)
                if stored is None:
                    from talkcli.kernels.compiler import compile_kernel

                    stored = compile_kernel(self, signature)
                    store.write(self.py_func, key, stored)
                    self.compiled.append(signature)
                self.loaded[signature] = code.load(stored)
            return self.loaded[signature]

    def key(self, signature: str) -> str:
        """What tells this code from other code of the same function: signature and options."""
        fastmath = self.options["fastmath"]
        assumed = fastmath if isinstance(fastmath, bool) else sorted(fastmath)
        return f"{signature} {assumed} {self.options['error_model']}"

    def _run_by_numba(self, arguments: tuple[Any, ...]) -> Any:
        """Run it for arguments that no stored code takes, such as arrays with gaps."""
        from talkcli.kernels.compiler import callable_of

        kinds = ", ".join(type(argument).__name__ for argument in arguments)
        _log.info("%s is compiled for %s, which cannot be kept", self.name, kinds)
        return callable_of(self)(*arguments)


def _flatten(arguments: Iterable[Any], marks: list[str], leaves: list[Any]) -> None:
    """Append what each argument is, tuples between parentheses, and what machine code gets."""
    for argument in arguments:
        kind = type(argument)
        if kind is tuple:
            marks.append("(")
            _flatten(argument, marks, leaves)
            marks.append(")")
            continue
        mark = _MARKS.get(kind, "?")
        marks.append(mark)
        if mark == "a":
            leaves.append(id(argument))
        elif mark != "n":
            leaves.append(argument)


def _spell(arguments: tuple[Any, ...]) -> str | None:
    """The signature, or None for arguments that code on disk is not made for."""
    parts: list[str | None] = []
    for argument in arguments:
        if isinstance(argument, tuple):
            parts.append(_spell(argument))
        elif type(argument) is np.ndarray:
            flags = argument.flags
            usual = argument.dtype in _DTYPES and flags.carray
            parts.append(f"{argument.dtype.name}[{argument.ndim}]" if usual else None)
        else:
            parts.append(_SCALARS.get(_MARKS.get(type(argument), "?")))
    if None in parts:
        return None
    return "(" + ", ".join(map(str, parts)) + ",)"


@overload
def helper(function: Callable[..., Any]) -> Callable[..., Any]: ...


@overload
def helper(
    *, fastmath: bool | set[str] = ..., error_model: str = ...
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...


def helper(
    function: Callable[..., Any] | None = None,
    *,
    fastmath: bool | set[str] = FASTMATH,
    error_model: str = "numpy",
) -> Any:
    """Inline a function into every kernel that calls it, see :class:`Helper`.

    Args:
        function: the function to inline.
        fastmath: as for :func:`kernel`.
        error_model: as for :func:`kernel`.
    """
    if function is None:
        return functools.partial(helper, fastmath=fastmath, error_model=error_model)
    return Helper(function, fastmath=fastmath, error_model=error_model)


@overload
def kernel(function: Callable[..., Any]) -> Kernel: ...


@overload
def kernel(
    *, fastmath: bool | set[str] = ..., error_model: str = ...
) -> Callable[[Callable[..., Any]], Kernel]: ...


def kernel(
    function: Callable[..., Any] | None = None,
    *,
    fastmath: bool | set[str] = FASTMATH,
    error_model: str = "numpy",
) -> Any:
    """Compile a function, to run without the GIL and be cached on disk, see :class:`Kernel`.

    Kernels are serial; :mod:`talkcli.kernels.pool` calls them from several threads. That
    needs no OpenMP or TBB library on the system, may be done by several threads at once, survives a
    fork, and never spins while it waits.

    Kernels write into arrays that they are given; they cannot allocate any. They return nothing, or
    one integer.

    Args:
        function: the function to compile. Wrappers around it, such as the annotation checks during
            tests, are left out.
        fastmath: numba's option: what the compiler may assume about floats. True also lets it
            reorder sums and assume that there are no NaNs.
        error_model: numba's option: ``python`` raises on a division by zero, which keeps the
            compiler from reordering the code around it.
    """
    if function is None:
        return functools.partial(kernel, fastmath=fastmath, error_model=error_model)
    return Kernel(function, fastmath=fastmath, error_model=error_model)


def in_use() -> dict[str, list[str]]:
    """Signatures with which kernels have been called in this process, by ``module:function``."""
    return {made.name: sorted(made.loaded) for made in _made if made.loaded}


def compiled_here() -> dict[str, list[str]]:
    """As :func:`in_use`, but only what was not found in the cache."""
    return {made.name: made.compiled for made in _made if made.compiled}


@cache
def announce() -> None:
    """Announce once per process that kernels are about to be compiled, if none are cached yet."""
    if next(store.folder().glob(f"talkcli.render.cpu.blend.*{store.SUFFIX}"), None) is None:
        _log.warning("compiling kernels (once)")
