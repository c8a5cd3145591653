"""Exceptions that tell the user what failed, why, and how to fix it.

Library code raises these; only :mod:`talkcli.cli.app` turns them into one line on stderr and an
exit code. Exit codes are part of the interface: 1 bug, 2 usage, 3 bad input, 4 missing dependency
or model, 5 interrupted and resumable, 6 a result that misses a quality threshold.
"""

from __future__ import annotations

from collections.abc import Iterable


class TalkcliError(Exception):
    """Base class of every error that talkcli explains.

    Args:
        what: what failed and why, in one sentence without a final full stop.
        fix: how to fix it, usually a command or an option.
    """

    exit_code = 1
    #: Whether the command has answered for itself, so that nothing else may go to stdout.
    answered = False

    def __init__(self, what: str, fix: str | None = None) -> None:
        super().__init__(what if fix is None else f"{what}; {fix}")
        self.what = what
        self.fix = fix


class UsageError(TalkcliError):
    """Options that contradict each other or are out of range."""

    exit_code = 2


class InputError(TalkcliError):
    """A file that cannot be read, holds no usable face or speech, or may not be written."""

    exit_code = 3


class MissingDependencyError(TalkcliError):
    """A requested optional library, model or device is missing."""

    exit_code = 4


class InterruptedRunError(TalkcliError):
    """The run was stopped; finished stages are kept, and the same command resumes."""

    exit_code = 5


class QualityError(TalkcliError):
    """A video that exists and misses a quality threshold of the recipe."""

    exit_code = 6


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` (is it NAME?)`` for the known name nearest to an unknown one, or nothing."""
    import difflib  # only for a mistake: every command loads this module

    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (is it {near[0]}?)" if near else ""
