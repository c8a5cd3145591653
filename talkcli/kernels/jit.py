"""Compiles kernels: one decorator, and a cache on disk that cannot go stale.

numba keys its cache on the source of the compiled function alone, so an edited helper in another
module would leave old machine code in use. :func:`talkcli.runtime.configure` names a folder after
the state of these sources; if it has not run (talkcli used as a library), this module does so.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, overload

from numba import njit as numba_njit
from numba._dynfunc import make_function
from numba.core import config as numba_config
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

from talkcli import runtime
from talkcli.kernels.store import SUFFIX, KernelCache

#: Contraction permits fused multiply-adds, and ignoring the sign of zero costs nothing. NaN and
#: infinity keep their meaning, so that a comparison with NaN is false and bad splats are culled.
FASTMATH = {"contract", "nsz"}

#: numba's settings, which it creates at run time, and its decorator, which hides some options.
config: Any = numba_config
njit: Any = numba_njit

#: What makes compiling shorter. Kernels allocate nothing, so that numba need not count references;
#: nobody calls them from C.
_LEAN: dict[str, Any] = {"_nrt": False, "no_cfunc_wrapper": True}

#: All kernels of the modules that have been imported.
_made: list[Any] = []

_log = logging.getLogger(__name__)


class _HelperLibrary(JITCodeLibrary):
    """The code of a helper: kept as what LLVM reads, never optimised or turned into machine code.

    Both happen anyway once it is part of a kernel. Done for each helper as well, they were a tenth
    of the time that kernels take to compile.
    """

    def _optimize_final_module(self) -> None:
        """Left to the kernel."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


class _HelperCompiler(Compiler):
    """Compiles a function that only kernels call."""

    def _compile_core(self) -> Any:
        state = self.state
        state.library = _HelperLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        result = super()._compile_core()
        about, parts = result.fndesc, (result.library,)
        # numba knows functions by the address of their entry; this one's leads nowhere.
        entry = make_function(
            about.lookup_module(), about.qualname, "", 0, result.environment, parts
        )
        state.targetctx.insert_user_function(entry, about, parts)
        return result._replace(entry_point=entry)


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
) -> Callable[..., Any]:
    """Inline a function into every kernel that calls it.

    It has no machine code itself: called from Python, it would crash.

    Args:
        function: the function to inline.
        fastmath: as for :func:`kernel`.
        error_model: as for :func:`kernel`.
    """
    if function is None:
        return functools.partial(helper, fastmath=fastmath, error_model=error_model)
    options = {"fastmath": fastmath, "error_model": error_model, **_LEAN}
    options |= {"forceinline": True, "no_cpython_wrapper": True, "pipeline_class": _HelperCompiler}
    return njit(**options)(inspect.unwrap(function))


@overload
def kernel(function: Callable[..., Any]) -> Callable[..., Any]: ...


@overload
def kernel(
    *, fastmath: bool | set[str] = ..., error_model: str = ...
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...


def kernel(
    function: Callable[..., Any] | None = None,
    *,
    fastmath: bool | set[str] = FASTMATH,
    error_model: str = "numpy",
) -> Callable[..., Any]:
    """Compile a function, to run without the GIL and be cached on disk.

    Kernels are serial by default; :mod:`talkcli.kernels.pool` calls them from several threads. That
    needs no OpenMP or TBB library on the system, may be done by several threads at once, survives a
    fork, and never spins while it waits.

    Kernels write into arrays that they are given; they cannot allocate any.

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
    function = inspect.unwrap(function)
    options = {"nogil": True, "fastmath": fastmath, "error_model": error_model, **_LEAN}
    dispatcher = njit(**options)(function)
    _made.append(dispatcher)
    before = config.CACHE_DIR
    config.CACHE_DIR = before or str(_folder())
    try:
        dispatcher._cache = KernelCache(function)
    except RuntimeError:
        # numba found no writable place for a cache, so kernels have to be compiled every time.
        _log.warning("kernels cannot be cached in %s", config.CACHE_DIR)
    finally:
        config.CACHE_DIR = before
    return dispatcher


def in_use() -> dict[str, list[tuple[Any, ...]]]:
    """Numba's types of the arguments that kernels have been called with in this process.

    By kernel, ``module:function``.
    """
    return {_name(kernel): list(kernel.overloads) for kernel in _made if kernel.overloads}


def compiled_here() -> dict[str, list[tuple[Any, ...]]]:
    """As :func:`in_use`, but only what was not found in the cache."""
    missed = {_name(kernel): list(kernel.stats.cache_misses) for kernel in _made}
    return {name: kinds for name, kinds in missed.items() if kinds}


def _name(kernel: Any) -> str:
    return f"{kernel.py_func.__module__}:{kernel.py_func.__qualname__}"


@cache
def announce() -> None:
    """Announce once per process that kernels are about to be compiled, if none are cached yet."""
    folder = Path(config.CACHE_DIR or _folder())
    if next(folder.rglob(f"blend.*{SUFFIX}"), None) is None:
        _log.warning("compiling kernels (once)")


@cache
def _folder() -> Path:
    """The folder for kernels if :func:`talkcli.runtime.configure` did not run before numba."""
    return runtime.kernel_cache(runtime.cache_root())
