"""``python -m talkcli`` and the ``talkcli`` script.

The command line takes a third of a second to import. Signals that arrive in that time, and closed
standard streams, are dealt with here, before anything else is loaded.
"""

from __future__ import annotations

import gc
import os
import sys
from types import FrameType

from talkcli.signals import on_ending

#: As in ``talkcli.errors.InterruptedRunError``.
_INTERRUPTED = 5


def main() -> None:
    """Entry point of the ``talkcli`` script."""
    # Importing makes a hundred thousand objects that stay. Looking through all of them every few
    # hundred takes a tenth of the time before the first frame.
    gc.set_threshold(100_000, 20, 50)
    _open_standard_streams()
    on_ending(_end_at_once)
    from talkcli.cli.app import main as command_line

    command_line()


def _end_at_once(number: int, frame: FrameType | None) -> None:
    """Exit immediately: nothing has started yet, so there is nothing to clean up."""
    os.write(2, b"talkcli: interrupted before any work had started\n")
    os._exit(_INTERRUPTED)


def _open_standard_streams() -> None:
    """Make sure that descriptors 0 to 2 exist, or our own files would take their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


if __name__ == "__main__":
    main()
