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

from numba import njit
from numba.core import config as numba_config

from talkcli import runtime
from talkcli.kernels.store import SUFFIX, KernelCache

#: Contraction permits fused multiply-adds, and ignoring the sign of zero costs nothing. NaN and
#: infinity keep their meaning, so that a comparison with NaN is false and bad splats are culled.
FASTMATH = {"contract", "nsz"}

#: numba's settings, which it creates at run time.
config: Any = numba_config

_log = logging.getLogger(__name__)


def helper(function: Callable[..., Any]) -> Callable[..., Any]:
    """Inline a function into every kernel that calls it; it has no machine code itself."""
    compiled = njit(forceinline=True, fastmath=FASTMATH, error_model="numpy")
    return compiled(inspect.unwrap(function))


@overload
def kernel(function: Callable[..., Any]) -> Callable[..., Any]: ...


@overload
def kernel(
    *, fastmath: bool | set[str] = ..., parallel: bool = ..., error_model: str = ...
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...


def kernel(
    function: Callable[..., Any] | None = None,
    *,
    fastmath: bool | set[str] = FASTMATH,
    parallel: bool = False,
    error_model: str = "numpy",
) -> Callable[..., Any]:
    """Compile a function, to run without the GIL and be cached on disk.

    Kernels are serial by default; :mod:`talkcli.kernels.pool` calls them from several threads. That
    needs no OpenMP or TBB library on the system, may be done by several threads at once, survives a
    fork, and never spins while it waits.

    Args:
        function: the function to compile. Wrappers around it, such as the annotation checks during
            tests, are left out.
        fastmath: numba's option: what the compiler may assume about floats. True also lets it
            reorder sums and assume that there are no NaNs.
        parallel: numba's option, for functions that loop over ``prange``.
        error_model: numba's option: ``python`` raises on a division by zero, which keeps the
            compiler from reordering the code around it.
    """
    if function is None:
        return functools.partial(
            kernel, fastmath=fastmath, parallel=parallel, error_model=error_model
        )
    options: dict[str, Any] = {"nogil": True, "fastmath": fastmath, "error_model": error_model}
    if parallel:
        options["parallel"] = True
    function = inspect.unwrap(function)
    dispatcher = njit(**options)(function)
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
