"""What is told on stderr while work goes on."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from talkcli.cli import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def use_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Called by the test itself: pytest sets its own stderr between fixtures and test."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return stream


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = use_terminal(monkeypatch)
    with progress.reporting(quiet=False, verbose=False) as reporter:
        assert isinstance(reporter, progress.BarReporter)
        task = reporter.begin("render", 4)
        for _ in range(4):
            task.advance()
        reporter.warn("a [bold] warning")
        reporter.end(task)
        task = reporter.begin("build")
        reporter.end(task, "reused")
    shown = terminal.getvalue()
    for words in ("4/4", "ETA", "/s", "a [bold] warning", "reused"):
        assert words in shown
    assert reporter.warnings == ["a [bold] warning"]


def test_terminal_is_given_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = use_terminal(monkeypatch)
    with (
        pytest.raises(ZeroDivisionError),
        progress.reporting(quiet=False, verbose=False) as reporter,
    ):
        reporter.begin("render", 4)
        raise ZeroDivisionError
    # The cursor was hidden and is shown again.
    assert terminal.getvalue().rfind("\x1b[?25h") > terminal.getvalue().rfind("\x1b[?25l")


def test_lines_elsewhere(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0.0)
    with progress.reporting(quiet=False, verbose=False) as reporter:
        task = reporter.begin("render", 2)
        task.advance()
        reporter.end(task)
        task = reporter.begin("steps")
        task.advance()
        reporter.end(task, "reused")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("render: 1/2, ") and lines[0].endswith(" s left")
    assert lines[1].startswith("render: 0.0 s, ")
    assert lines[2].startswith("steps: 1, ") and lines[3] == "steps: reused"


@pytest.mark.parametrize(
    ("quiet", "verbose", "heard"),
    [(False, False, "warning: w\n"), (False, True, "i\nwarning: w\n"), (True, True, "")],
)
def test_log_of_all_modules_is_heard(
    capsys: pytest.CaptureFixture[str], quiet: bool, verbose: bool, heard: str
) -> None:
    logger = logging.getLogger("talkcli.some.module")
    with progress.reporting(quiet=quiet, verbose=verbose) as reporter:
        logger.info("i")
        logger.warning("w")
    assert capsys.readouterr().err == heard
    assert reporter.warnings == ["w"]
    assert not logging.getLogger("talkcli").handlers
