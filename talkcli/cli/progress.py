"""Progress on stderr: live bars on a terminal, plain lines elsewhere, none with ``-q``."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from talkcli.progress import Reporter, SilentReporter, Task

#: How often a long stage reports its progress when stderr is not a terminal.
_LINE_EVERY_S = 10.0


@dataclass
class PlainTask:
    """A stage reported as plain lines."""

    name: str
    total: int | None
    done: int = 0
    start: float = field(default_factory=time.monotonic)
    told: float = field(default_factory=time.monotonic)
    text: str = ""

    def advance(self, steps: int = 1) -> None:
        """See :class:`talkcli.progress.Task`."""
        self.done += steps
        now = time.monotonic()
        if now - self.told >= _LINE_EVERY_S:
            self.told = now
            rate = self.done / max(now - self.start, 1e-6)
            of = f"/{self.total}" if self.total else ""
            left = f", {(self.total - self.done) / rate:.0f} s left" if self.total and rate else ""
            text = f", {self.text}" if self.text else ""
            _tell(f"{self.name}: {self.done}{of}, {rate:.1f}/s{left}{text}")

    def describe(self, text: str) -> None:
        """See :class:`talkcli.progress.DescribedTask`."""
        self.text = text


class PlainReporter(SilentReporter):
    """One line per stage, and one every ten seconds during it."""

    def begin(self, name: str, total: int | None = None) -> PlainTask:
        """See :class:`talkcli.progress.Reporter`."""
        return PlainTask(name, total)

    def end(self, task: Task, note: str = "") -> None:
        """See :class:`talkcli.progress.Reporter`."""
        assert isinstance(task, PlainTask)
        seconds = time.monotonic() - task.start
        rate = f", {task.done / max(seconds, 1e-6):.1f}/s" if task.total else ""
        _tell(f"{task.name}: {note or f'{seconds:.1f} s{rate}'}")

    def tell(self, warning: str) -> None:
        """See :class:`talkcli.progress.SilentReporter`."""
        _tell(f"warning: {warning}")


@dataclass
class BarTask:
    """A stage shown as a line of rich's progress display."""

    bars: Any
    number: Any

    def advance(self, steps: int = 1) -> None:
        """See :class:`talkcli.progress.Task`."""
        speed = self.bars.tasks[0].speed
        rate = f"{speed:.1f}/s" if speed else ""
        self.bars.update(self.number, advance=steps, rate=rate)

    def describe(self, text: str) -> None:
        """See :class:`talkcli.progress.DescribedTask`."""
        self.bars.update(self.number, text=text)


class BarReporter(SilentReporter):
    """Stages with their rate and the time left, redrawn in place on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        super().__init__()
        self._console = Console(stderr=True, highlight=False)
        self._bars: Any = None

    def begin(self, name: str, total: int | None = None) -> BarTask:
        """See :class:`talkcli.progress.Reporter`."""
        from rich import progress

        self._bars = progress.Progress(
            progress.TextColumn("{task.description:<8}"),
            progress.BarColumn(bar_width=32),
            progress.MofNCompleteColumn() if total else progress.TextColumn(""),
            progress.TextColumn("{task.fields[rate]}"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("ETA") if total else progress.TextColumn(""),
            progress.TimeRemainingColumn(compact=True) if total else progress.TextColumn(""),
            progress.TextColumn("{task.fields[text]}"),
            console=self._console,
            transient=True,
        )
        self._bars.start()
        return BarTask(self._bars, self._bars.add_task(name, total=total, rate="", text=""))

    def end(self, task: Task, note: str = "") -> None:
        """See :class:`talkcli.progress.Reporter`."""
        assert isinstance(task, BarTask)
        shown = task.bars.tasks[0]
        rate = f"  {shown.completed / max(shown.elapsed, 1e-6):.1f}/s" if shown.total else ""
        self.close()
        self._console.print(f"{shown.description:<8} {note or f'{shown.elapsed:.1f} s{rate}'}")

    def tell(self, warning: str) -> None:
        """See :class:`talkcli.progress.SilentReporter`."""
        self._console.print("[yellow]warning:[/yellow] ", end="")
        self._console.print(warning, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Restore the terminal; harmless when no stage is running."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None


class _ToReporter(logging.Handler):
    """Passes the warnings of all talkcli modules on to the reporter."""

    def __init__(self, reporter: Reporter, verbose: bool) -> None:
        super().__init__(logging.INFO if verbose else logging.WARNING)
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self._reporter.warn(record.getMessage())
        else:
            _tell(record.getMessage())


@contextmanager
def reporting(*, quiet: bool, verbose: bool) -> Iterator[SilentReporter]:
    """Set up the reporter that suits stderr, and route all modules' logs to it, for one command."""
    bars = not quiet and sys.stderr.isatty()
    reporter = BarReporter() if bars else SilentReporter() if quiet else PlainReporter()
    logger = logging.getLogger("talkcli")
    handler = _ToReporter(reporter, verbose and not quiet)
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(handler.level)
    logger.propagate = False
    try:
        yield reporter
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
        if isinstance(reporter, BarReporter):
            reporter.close()


def _tell(line: str) -> None:
    # Looked up at every call: runtime.silence_native_logs replaces the stream.
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
