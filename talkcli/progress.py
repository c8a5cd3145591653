"""How long work tells where it is, without knowing who listens.

The command line shows it with rich (:mod:`talkcli.cli.progress`); a caller in Python passes
nothing, or an object of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable


@runtime_checkable
class Task(Protocol):
    """One stage under way."""

    def advance(self, steps: int = 1) -> None:
        """So many more steps are done."""


@runtime_checkable
class Reporter(Protocol):
    """Whoever is told about progress."""

    def begin(self, name: str, total: int | None = None) -> Task:
        """A stage begins; ``total`` steps are known or None."""

    def end(self, task: Task, note: str = "") -> None:
        """The stage is finished; ``note`` replaces its duration ("reused")."""

    def warn(self, text: str) -> None:
        """Something the user should know; one line."""


class SilentReporter:
    """Listens to nothing and keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def begin(self, name: str, total: int | None = None) -> Task:
        """See :class:`Reporter`."""
        return self

    def end(self, task: Task, note: str = "") -> None:
        """See :class:`Reporter`."""

    def advance(self, steps: int = 1) -> None:
        """See :class:`Task`."""

    def warn(self, text: str) -> None:
        """See :class:`Reporter`."""
        self.warnings.append(text)


class Stopwatch:
    """Seconds by name; parts that run interleaved, or at the same time, add up separately.

    Args:
        age_s: seconds that had passed when the watch was made: a command counts from the start
            of its process.

    Attributes:
        seconds: by name.
        first_frame_s: when the encoder got the first frame, on this watch; None before.
    """

    def __init__(self, age_s: float = 0.0) -> None:
        self.seconds: dict[str, float] = {}
        self.first_frame_s: float | None = None
        self._lock = threading.Lock()
        self._begin = time.perf_counter() - age_s

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the duration of the block to ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        """Add seconds that were measured elsewhere."""
        with self._lock:
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def total(self) -> float:
        """Seconds since the beginning, measured or not."""
        return time.perf_counter() - self._begin
