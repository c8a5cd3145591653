"""How long-running work reports progress, whoever displays it.

The command line displays it with rich (:mod:`talkcli.cli.progress`); a Python caller passes
nothing, or a reporter of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable


@runtime_checkable
class Task(Protocol):
    """A stage in progress."""

    def advance(self, steps: int = 1) -> None:
        """Report that this many more steps are done."""


@runtime_checkable
class DescribedTask(Task, Protocol):
    """A stage that also shows how it is going, in a few words."""

    def describe(self, text: str) -> None:
        """Show this beside the progress, until the next call."""


def describe(task: Task, text: str) -> None:
    """Show how a stage is going, where its reporter can."""
    if isinstance(task, DescribedTask):
        task.describe(text)


@runtime_checkable
class Reporter(Protocol):
    """Receives progress and warnings."""

    def begin(self, name: str, total: int | None = None) -> Task:
        """Begin a stage; ``total`` is its number of steps, or None if unknown."""

    def end(self, task: Task, note: str = "") -> None:
        """End a stage; a ``note`` such as "reused" is shown instead of its duration."""

    def warn(self, text: str) -> None:
        """Warn the user, in one line."""


class SilentReporter:
    """Shows nothing and keeps the warnings."""

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
        """See :class:`Reporter`; what has been said is not repeated."""
        if text not in self.warnings:
            self.warnings.append(text)
            self.tell(text)

    def tell(self, warning: str) -> None:
        """Show a new warning."""


class Stopwatch:
    """Seconds by name; parts that run interleaved or in parallel are summed separately.

    Args:
        age_s: seconds already on the watch when it is created: a command counts from the start of
            its process.

    Attributes:
        seconds: seconds of each part, by name.
        first_frame_s: reading of this watch when the encoder got the first frame; None until then.
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
        """Add seconds measured elsewhere."""
        with self._lock:
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def total(self) -> float:
        """Seconds since the start, whether measured or not."""
        return time.perf_counter() - self._begin
