"""Compiles the kernels whose names arrive on stdin, one a line, and answers with each name.

:mod:`talkcli.kernels.prepare` runs several of these at once.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module

from talkcli import runtime
from talkcli.errors import TalkcliError
from talkcli.kernels.prepare import needed

#: What numba imports for functions that no kernel calls, if it is there: .14 s of CPU.
_UNUSED = ("scipy", "cffi", "yaml")


def _load_numba() -> None:
    """Import numba and fill its tables, as if the optional libraries were not installed."""
    hidden = [name for name in _UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        import_module("talkcli.kernels.compiler").fill_tables()
    finally:
        for name in hidden:
            del sys.modules[name]


def main() -> int:
    """Compile until stdin ends.

    Returns:
        The exit code.
    """
    # Compiling makes millions of objects and hardly any cycles: a tenth of the time.
    gc.disable()
    runtime.configure()
    _load_numba()
    try:
        for line in sys.stdin:
            name = line.strip()
            module, _, function = name.partition(":")
            kernel = getattr(import_module(module), function)
            for signature in needed()[name]:
                kernel.prepare(signature)
            sys.stdout.write(name + "\n")
            sys.stdout.flush()
    except TalkcliError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
