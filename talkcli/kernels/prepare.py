"""Compiles all kernels that videos need at once, in several processes, before the first video.

``talkcli/data/kernels.json`` lists them with their signatures, those that take longest first;
``python -m scripts.list_kernels`` writes it. ``python -m talkcli.kernels.prepare`` is what
``make setup`` runs; commands call :func:`compile_kernels`. Imports no numba.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from talkcli import runtime
from talkcli.errors import InputError, TalkcliError
from talkcli.files.atomic import write_text_atomic
from talkcli.files.lock import hold_lock
from talkcli.kernels import store

_LIST = Path(__file__).parents[1] / "data" / "kernels.json"
#: The slowest kernel takes a sixth of the time of all.
_MOST_PROCESSES = 4


@cache
def needed() -> Mapping[str, Sequence[str]]:
    """Signatures by kernel, ``module:function``; those that take longest to compile come first."""
    return json.loads(_LIST.read_bytes())


def are_ready() -> bool:
    """Whether all kernels have been compiled for this machine, by any process. Takes 1 ms.

    Also where they cannot be kept, and every process has to compile what it needs.
    """
    mark = _mark()
    with suppress(OSError):
        mark.parent.mkdir(parents=True, exist_ok=True)
    return mark.exists() or not os.access(mark.parent, os.W_OK)


def compile_kernels(
    on_done: Callable[[], None], on_wait: Callable[[str], None] | None = None
) -> None:
    """Compile all kernels that are missing, or wait until another process has done so.

    If this is interrupted or killed, the kernels that are done remain.

    Args:
        on_done: called once per kernel of :func:`needed`, from several threads.
        on_wait: called once with a message if another process is at it.

    Raises:
        InputError: they cannot be written.
        TalkcliError: a kernel cannot be compiled.
    """
    mark = _mark()
    with hold_lock(mark.with_name(".lock"), on_wait=on_wait):
        if mark.exists():
            return
        _share_out(list(needed()), on_done)
        write_text_atomic(mark, "all kernels are compiled\n")


def _share_out(names: list[str], on_done: Callable[[], None]) -> None:
    """Have processes compile the kernels, each taking the next one when it is done."""
    names.reverse()
    failures: list[tuple[int, str]] = []
    count = min(runtime.available_cpus(), _MOST_PROCESSES)
    workers = [_start() for _ in range(count)]

    def attend(worker: subprocess.Popen[str]) -> None:
        assert worker.stdin is not None and worker.stdout is not None
        with suppress(IndexError, OSError):
            while not failures:
                worker.stdin.write(names.pop() + "\n")
                worker.stdin.flush()
                if not worker.stdout.readline():
                    break
                on_done()
        with suppress(OSError):
            worker.stdin.close()
        assert worker.stderr is not None
        told = worker.stderr.read().strip().splitlines()
        if code := worker.wait():
            failures.append((code, told[-1] if told else "a process ended without a word"))

    attendants = [threading.Thread(target=attend, args=(worker,)) for worker in workers]
    try:
        for attendant in attendants:
            attendant.start()
        for attendant in attendants:
            attendant.join()
    finally:
        for worker in workers:
            worker.kill()
    for code, told in failures:
        if code == InputError.exit_code:
            raise InputError(told)
        raise TalkcliError(
            f"kernels cannot be compiled ({told})",
            "run talkcli doctor; if it finds nothing, this is a bug",
        )


def _start() -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "talkcli.kernels.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    except OSError as error:
        reason = f"no Python can be started ({error})"
        raise TalkcliError(f"kernels cannot be compiled: {reason}") from error


def _mark() -> Path:
    """The file that stands for: all kernels are compiled, for this processor and this numba."""
    key = hashlib.sha256(_LIST.read_bytes() + store.machine().encode()).hexdigest()
    return store.folder() / f"complete-{key[:16]}"


def main() -> int:
    """Compile what is missing, with a line of progress.

    Returns:
        The exit code.
    """
    if are_ready():
        return 0
    done = iter(range(1, len(needed()) + 1))

    def show() -> None:
        sys.stderr.write(f"\rcompiling kernels: {next(done)}/{len(needed())}")
        sys.stderr.flush()

    try:
        compile_kernels(show)
    except TalkcliError as error:
        sys.stderr.write(f"\n{error}\n")
        return error.exit_code
    sys.stderr.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
