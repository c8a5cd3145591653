"""Exceptions that carry what a user needs: what failed, why, and the command that mends it.

Libraries raise these; only :mod:`talkcli.cli.app` turns them into one line on stderr and an exit
code. Exit codes are part of the interface: 1 bug, 2 usage, 3 bad input, 4 missing dependency or
model, 5 interrupted and resumable.
"""

from __future__ import annotations


class TalkcliError(Exception):
    """Base of every error that talkcli explains.

    Args:
        what: what failed and why, one sentence without a final full stop.
        fix: what mends it, usually a command or an option.
    """

    exit_code = 1

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
    """An optional library, model or device that was asked for is not there."""

    exit_code = 4


class InterruptedRunError(TalkcliError):
    """The run was stopped; what is finished is kept and the same command resumes it."""

    exit_code = 5
