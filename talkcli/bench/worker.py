"""Measurements in fresh processes, which answer with one JSON object on stdout."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from talkcli import runtime
from talkcli.errors import InputError, MissingDependencyError, TalkcliError

_ERRORS: dict[int, type[TalkcliError]] = {
    error.exit_code: error for error in (InputError, MissingDependencyError)
}


def ask(
    module: str, *arguments: str, failure: str, environment: Mapping[str, str] | None = None
) -> Any:
    """Run a module that ends with :func:`answer`.

    Args:
        module: dotted name.
        *arguments: of its command line.
        failure: what could not be done, for the message.
        environment: of the process; None for this one's.

    Returns:
        What it answered.

    Raises:
        InputError, MissingDependencyError: as in the process.
        TalkcliError: it failed in another way.
    """
    process = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if process.returncode:
        told = process.stderr.strip().splitlines() or ["it said nothing"]
        kind = _ERRORS.get(process.returncode, TalkcliError)
        raise kind(f"{failure}: {told[-1]}")
    return json.loads(process.stdout)


def answer(measure: Callable[[], Any]) -> int:
    """Be such a process: print what ``measure`` returns, or why it failed.

    Returns:
        The exit code.
    """
    runtime.configure()
    runtime.silence_native_logs()
    try:
        told = measure()
    except TalkcliError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(told))
    return 0
