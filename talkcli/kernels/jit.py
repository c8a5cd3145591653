"""How kernels are compiled: one decorator, and a cache on disk that cannot go stale.

numba keys its cache on the source of the compiled function alone, so an edited helper in another
module would leave old machine code in use. :func:`talkcli.runtime.configure` names a folder after
the state of these sources; where it has not run (talkcli used as a library), this module does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit
from numba.core import config as numba_config

from talkcli import runtime

#: Contraction gives fused multiply-adds and unsigned zeros cost nothing. NaN and infinity keep
#: their meaning, so that a comparison with NaN is false and bad splats are culled.
FASTMATH = {"contract", "nsz"}

#: numba's settings, which it makes at run time.
config: Any = numba_config

_log = logging.getLogger(__name__)


def helper(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that every calling kernel swallows whole; it has no machine code of its own."""
    return njit(forceinline=True, fastmath=FASTMATH, error_model="numpy")(function)


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """A compiled function that runs without the GIL and is cached on disk.

    Kernels are serial; :mod:`talkcli.kernels.pool` calls them from several threads. That needs
    no OpenMP or TBB library on the system, may be called by several threads at once, survives a
    fork, and never spins while it waits.
    """
    options: dict[str, Any] = {"nogil": True, "fastmath": FASTMATH, "error_model": "numpy"}
    before = config.CACHE_DIR
    config.CACHE_DIR = before or str(_folder())
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:
        # numba found no writable place for a cache; compiling each time is all that is left.
        _log.warning("kernels cannot be cached in %s", config.CACHE_DIR)
        return njit(**options)(function)
    finally:
        config.CACHE_DIR = before


@cache
def announce() -> None:
    """Say once per process that kernels are about to be compiled, where none are cached yet."""
    folder = Path(config.CACHE_DIR or _folder())
    if next(folder.rglob("blend.*.nbi"), None) is None:
        _log.warning("compiling kernels (once)")


@cache
def _folder() -> Path:
    """Where kernels lie when :func:`talkcli.runtime.configure` came after numba."""
    return runtime.kernel_cache(runtime.cache_root())
