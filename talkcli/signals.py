"""Signals that end a command. This module imports next to nothing, since it is loaded first."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], None] | signal.Handlers

#: Ctrl-C, a plain ``kill``, and the closing of the terminal.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def on_ending(handler: Handler) -> dict[int, Any]:
    """Install a handler for every signal that ends a command.

    Returns:
        The previous handlers, by signal.

    Raises:
        ValueError: not called from the main thread.
    """
    return {
        number: signal.signal(number, handler)
        for number in _ENDING
        # ``nohup`` makes a command ignore the closing of its terminal, which must stay so.
        if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN
    }
