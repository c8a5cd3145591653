"""Stores machine code of kernels on disk: one file each, with a checksum, only the user's.

Files hold what is run, so that one which others could have written, or which is damaged, is not
loaded: the kernel is compiled again and the file replaced.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from talkcli import runtime
from talkcli.files.atomic import staged_file, sweep_temporaries
from talkcli.files.check import explained_writes
from talkcli.kernels.code import Stored

_log = logging.getLogger(__name__)

SUFFIX = ".kernel"
_DIGEST_BYTES = hashlib.sha256().digest_size
#: Variables that change the code which numba makes.
_COMPILER_VARIABLES = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_OPT", "NUMBA_ENABLE_AVX")
#: What Linux tells about a processor and depends on its kind alone.
_PROCESSOR_FACTS = ("vendor_id", "cpu family", "model", "stepping", "flags", "CPU ", "Features")


@cache
def _tell(reason: str) -> None:
    """Say once per process why kernels are compiled again."""
    _log.warning("stored kernels are compiled again: %s", reason)


@cache
def folder() -> Path:
    """Where machine code is kept."""
    runtime.configure()
    return Path(os.environ["NUMBA_CACHE_DIR"])


def read(function: Callable[..., Any], key: str) -> Stored | None:
    """The machine code of a function, or None if it has to be compiled.

    Args:
        function: what was compiled.
        key: how: for which types, with which options.
    """
    try:
        content = _read_own(_path(function, key))
        head, _, binary = content.partition(b"\n")
        facts = json.loads(head)
        source = facts.pop("source")
        facts["dtypes"] = tuple(facts["dtypes"])
        stored = Stored(binary=binary, **facts)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        _tell(str(error))
        return None
    return stored if source == _source(function) else None


def write(function: Callable[..., Any], key: str, stored: Stored) -> None:
    """Keep machine code; where that is not possible, it is compiled in every process.

    Args:
        function: what was compiled.
        key: as for :func:`read`.
        stored: its code.

    Raises:
        InputError: the disk is full.
    """
    path = _path(function, key)
    facts = asdict(stored) | {"source": _source(function)}
    binary = facts.pop("binary")
    content = json.dumps(facts).encode() + b"\n" + binary
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        _log.warning("kernels cannot be kept in %s", path.parent)
        return
    explained = explained_writes(path, "TALKCLI_CACHE")
    with explained, _writing(path.parent), staged_file(path, 0o600) as stream:
        stream.write(hashlib.sha256(content).digest() + content)


def _source(function: Callable[..., Any]) -> list[Any]:
    """State of the file with the function's source."""
    state = os.stat(function.__code__.co_filename)
    return [state.st_size, state.st_mtime_ns]


def _path(function: Callable[..., Any], key: str) -> Path:
    short = hashlib.sha256(f"{key}\0{machine()}".encode()).hexdigest()[:16]
    return folder() / f"{function.__module__}.{function.__qualname__}.{short}{SUFFIX}"


def machine() -> str:
    """A name for everything outside our sources that decides what machine code is right.

    That is the processor, the compiler and its settings, and numpy's layout of arrays.
    """
    return _machine(tuple(os.environ.get(name, "") for name in _COMPILER_VARIABLES))


@cache
def _machine(settings: tuple[str, ...]) -> str:
    parts = [_processor(), *settings]
    for name in ("numba", "llvmlite"):
        found = find_spec(name)
        if found is not None and found.origin is not None:
            parts += [found.origin, str(os.stat(found.origin).st_mtime_ns)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _processor() -> str:
    """What tells one kind of processor from another."""
    try:
        # The first core's entry suffices, and a file of hundreds of them takes long to make.
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
            entry = stream.read(8192).partition("\n\n")[0]
    except OSError:
        return " ".join(os.uname()[3:])
    return "\n".join(line for line in entry.splitlines() if line.startswith(_PROCESSOR_FACTS))


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """A block that writes into a folder of kernels; what killed runs have left there goes first.

    Writers share a lock on the folder, which dies with its process. Whoever has it alone knows that
    nobody writes, so that every temporary file there is a leftover.
    """
    if sys.platform == "win32":  # directories cannot be opened there
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # others write as well, or the file system knows no locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sweep_temporaries(folder)
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def _read_own(path: Path) -> bytes:
    """Read the bytes after the checksum of a file that only this user can have written.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be read, or is a link.
        ValueError: others can write to it, or it is damaged.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as stream:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("one is no regular file")
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ValueError("others can write to one")
        content = stream.read()
    digest, content = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError("one is damaged")
    return content
