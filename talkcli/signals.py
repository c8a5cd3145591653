"""What ends a command from outside. Imports next to nothing: it comes first."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], None]

#: Ctrl-C, a polite kill, a terminal that is closed.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


def on_ending(handler: Handler) -> dict[int, Any]:
    """Have a handler called by everything that ends a command.

    Returns:
        The handlers before, by signal.

    Raises:
        ValueError: this is not the main thread.
    """
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    return {
        number: signal.signal(number, handler)
        for number in numbers
        # ``nohup`` has a command ignore the closing of its terminal: that stays so.
        if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN
    }
