"""The kernels, compiled before a command's first use of them."""

from __future__ import annotations

from talkcli.errors import InputError, TalkcliError
from talkcli.kernels.prepare import are_ready, compile_kernels, needed
from talkcli.progress import Reporter, Stopwatch


def ensure_kernels(reporter: Reporter, watch: Stopwatch) -> None:
    """Compile all kernels that videos need, unless they are in the cache.

    Args:
        reporter: shows how far this is; nothing is shown if there is nothing to compile.
        watch: receives the seconds, as ``compile``.

    Raises:
        InputError: the cache cannot be written.
    """
    if are_ready():
        return
    with watch.measure("compile"):
        task = reporter.begin("compile", len(needed()))
        try:
            compile_kernels(task.advance, reporter.warn)
        except InputError:
            raise
        except TalkcliError as error:
            # A process may have been killed for lack of memory; one at a time may still fit.
            reporter.warn(f"{error.what}; they are compiled when they are needed")
        reporter.end(task)
