"""What the compiler is given: functions, and names of operations whose modules need numba."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

#: Contraction permits fused multiply-adds, and ignoring the sign of zero costs nothing. NaN and
#: infinity keep their meaning, so that a comparison with NaN is false and bad splats are culled.
FASTMATH = {"contract", "nsz"}


class Deferred:
    """Stands for an operation in kernels whose module needs numba, until one is compiled.

    Args:
        module: where it is defined.
        name: its name there.
    """

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __call__(self, *arguments: Any) -> Any:
        """Outside kernels, an error."""
        raise TypeError(f"{self.name} can be called in kernels only")


class Function:
    """A function to compile.

    Attributes:
        py_func: the function, without wrappers such as the annotation checks during tests.
        options: ``fastmath`` and ``error_model``, as for :func:`talkcli.kernels.jit.kernel`.
        dispatcher: what numba makes of it, kept by :mod:`talkcli.kernels.compiler`.
        plain: likewise, for calls with unusual arguments.
    """

    dispatcher: Any = None
    plain: Any = None

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        self.py_func, self.options = inspect.unwrap(function), options


class Helper(Function):
    """A function that is inlined into the kernels that call it; it has no machine code itself."""

    def __call__(self, *arguments: Any) -> Any:
        """Outside kernels, an error."""
        raise TypeError(f"{self.py_func.__name__} can be called in kernels only")
