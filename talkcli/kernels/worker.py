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


def main() -> int:
    """Compile until stdin ends.

    Returns:
        The exit code.
    """
    # Compiling makes millions of objects and hardly any cycles: a tenth of the time.
    gc.disable()
    runtime.configure()
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
