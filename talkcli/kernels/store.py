"""Stores compiled kernels on disk: one file each, with a checksum, that only the user can write.

numba keeps an index per function, and unpickles it and the machine code unchecked: a damaged file
would make every later run fail, and a file that someone else put there would be executed. Here, a
kernel's file starts with the SHA-256 of the rest; if that does not match, or others can write to
the file, the kernel is compiled again and the file replaced.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import re
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache
from numba.core.serialize import dumps

from talkcli.files.atomic import staged_file, sweep_temporaries
from talkcli.files.check import explained_writes

_log = logging.getLogger(__name__)

SUFFIX = ".kernel"
_DIGEST_BYTES = hashlib.sha256().digest_size


@cache
def _tell(reason: str) -> None:
    """Say once per process why kernels are compiled again, which takes a minute or two."""
    _log.warning("stored kernels are compiled again: %s", reason)


class KernelCache(FunctionCache):
    """numba's cache of one function, with files in our own format.

    Raises:
        RuntimeError: there is no place for the files.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp()
        self._cache_file: Any = _Files(Path(self._cache_path), self._impl.filename_base, stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function for a signature, or None if it has to be compiled."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # noqa: BLE001 - whole, but not of these versions of numba and LLVM
            _tell(f"one does not fit this machine ({error})")
            return None


class _Files:
    """The file store that numba's cache expects: load, save and flush, by signature and machine.

    Args:
        folder: where the files are.
        base: start of their names.
        stamp: stamp of the function's source; files with another stamp count as missing.
    """

    def __init__(self, folder: Path, base: str, stamp: Any) -> None:
        self._folder, self._base = folder, base
        self._about = (numba.__version__, stamp)

    def load(self, key: Any) -> Any:
        path = self._path(key)
        try:
            content = _read_own(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _tell(str(error))
            return None
        # Only data written by this user's own processes gets here.
        about, stored_key, data = pickle.loads(content)  # noqa: S301
        return data if (about, stored_key) == (self._about, key) else None

    def save(self, key: Any, data: Any) -> None:
        content = dumps((self._about, key, data))
        path = self._path(key)
        explained = explained_writes(path, "TALKCLI_CACHE")
        with explained, _writing(self._folder), staged_file(path, 0o600) as stream:
            stream.write(hashlib.sha256(content).digest() + content)

    def flush(self) -> None:
        for path in self._folder.glob(f"{self._base}.*{SUFFIX}"):
            path.unlink(missing_ok=True)

    def _path(self, key: Any) -> Path:
        # Addresses differ between processes; the whole key is compared when the file is read.
        text = re.sub("0x[0-9a-f]+", "", repr(key))
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self._folder / f"{self._base}.{name}{SUFFIX}"


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
