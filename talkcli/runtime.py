"""Settings that must stand before numeric libraries load, in one place.

:func:`configure` is called by the command line (and by the tests) before torch, numba, OpenCV or
MediaPipe are imported: all of them read these variables once, at import. Nothing that the user has
set in the environment is changed. This module imports no more than the standard library
and, once it looks for the cache, platformdirs.
"""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import io
import multiprocessing
import os
import shutil
import stat
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TextIO

from talkcli.errors import InputError

#: Packages that hold kernels, or helpers that kernels swallow.
_KERNEL_PACKAGES = ("kernels", "render", "compose", "engines/portrait", "layers", "speech")
#: Kernel caches of older states of the code that are kept; each is a few MB.
_KEPT_KERNEL_CACHES = 3
_IMPORTED = time.monotonic()


def configure() -> None:
    """Sets threads, caches, log levels and how processes start, before libraries are imported.

    Idempotent, takes a few milliseconds.
    """
    threads = str(thread_count())
    cache = cache_root()
    settings = {
        # PyTorch and numba each bring an OpenMP runtime. When their idle threads spin, they take
        # the cores from each other: up to 4 times slower on a busy machine.
        "OMP_WAIT_POLICY": "passive",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "NUMBA_NUM_THREADS": threads,
        "NUMBA_CACHE_DIR": str(kernel_cache(cache)),
        # numba's own order starts with tbb, which spins as well; workqueue is not thread-safe.
        "NUMBA_THREADING_LAYER_PRIORITY": "omp tbb workqueue",
        # Matplotlib comes with MediaPipe, wants a place to write and must not look for a display.
        "MPLCONFIGDIR": str(cache / "matplotlib"),
        "MPLBACKEND": "Agg",
        "GLOG_minloglevel": "2",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    if multiprocessing.get_start_method(allow_none=True) is None:
        # A forked child inherits locks of threads that it does not have.
        multiprocessing.set_start_method("spawn")
    # From MediaPipe's use of protobuf; nothing that a user could act on.
    warnings.filterwarnings("ignore", message=r"SymbolDatabase\.GetPrototype", category=UserWarning)


def cache_root() -> Path:
    """The folder for what can be made again: ``TALKCLI_CACHE``, or the system's cache folder.

    Where the system's cannot be written (a read-only home, as in some containers), a private folder
    under the system's temporary directory. The folder exists on return.

    Raises:
        InputError: ``TALKCLI_CACHE`` names no folder that can be written, or not even the
            temporary directory can be.
    """
    mend = "set TALKCLI_CACHE to a folder that you may write to"
    if named := os.environ.get("TALKCLI_CACHE"):
        chosen = Path(named).expanduser()
        if reason := _unusable(chosen):
            raise InputError(f"the cache {chosen} (TALKCLI_CACHE) cannot be used: {reason}", mend)
        return chosen
    from platformdirs import user_cache_path

    chosen = user_cache_path("talkcli", appauthor=False)
    if not _unusable(chosen):
        return chosen
    owner = os.getuid() if hasattr(os, "getuid") else 0
    fallback = Path(tempfile.gettempdir()) / f"talkcli-{owner}"
    # Compiled kernels are loaded from here: a folder that another user has laid there is not used.
    if (reason := _unusable(fallback, 0o700)) or (reason := _foreign(fallback)):
        raise InputError(f"neither {chosen} nor {fallback} can be used ({reason})", mend)
    return fallback


def available_cpus() -> int:
    """Cores that this process may use: affinity and container quota counted, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = _container_quota(Path("/sys/fs/cgroup"))
    return max(1, min(cores, int(quota + 0.5) if quota else cores))


def thread_count() -> int:
    """Threads for numeric work: ``OMP_NUM_THREADS`` if it is a number, else the cores at hand."""
    wish = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(wish) if wish.isdecimal() and int(wish) > 0 else available_cpus()


def process_age() -> float:
    """Seconds since this process started; where the system does not tell, since this import."""
    try:
        # Field 22, the start in clock ticks since the system's own (man 5 proc); the name of the
        # program in field 2 may hold blanks.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, AttributeError):
        return time.monotonic() - _IMPORTED


class _LenientStream(io.TextIOWrapper):
    """Text for people, which is lost where it cannot be written: a full disk, a closed terminal."""

    def write(self, text: str) -> int:
        """As any stream, but it never fails."""
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """As any stream, but it never fails."""
        with contextlib.suppress(OSError):
            super().flush()


def lenient(stream: TextIO) -> TextIO:
    """The same stream, whose failures to write are ignored; as it was where it is no file."""
    try:
        number = stream.fileno()
    except (AttributeError, OSError, ValueError):  # replaced by a test, or closed
        return stream
    return _LenientStream(
        io.FileIO(number, "w", closefd=False),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=True,
        write_through=True,
    )


def silence_native_logs() -> None:
    """Sends what native libraries write to stderr nowhere; Python's own stderr goes on as before.

    MediaPipe's C++ side logs a dozen lines per model past every log level that can be set. Call it
    once, early, from the command line; not with ``--debug``. Crash reports of the interpreter
    still reach the terminal. Does nothing where ``sys.stderr`` is not file descriptor 2.
    """
    try:
        if sys.stderr.fileno() != 2:
            return
    except (AttributeError, OSError, ValueError):  # replaced by a test, or closed
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    replacement = _LenientStream(
        io.FileIO(terminal, "w"),
        encoding=sys.stderr.encoding,
        errors="backslashreplace",
        line_buffering=True,
        write_through=True,
    )
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = replacement
    faulthandler.enable(file=replacement)


def _container_quota(cgroup: Path) -> float | None:
    """CPU quota of the container in cores (control groups 2, then 1), or None without one."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()[:2]
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if not quota.isdecimal() or not period.isdecimal() or int(period) == 0:
        return None  # "max", or -1: no limit
    return int(quota) / int(period)


def _unusable(folder: Path, mode: int = 0o755) -> str | None:
    """Why nothing can be written in a folder, which is made where it is missing.

    Not even with a umask of 0 may others write to what is made here.
    """
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    except FileExistsError:
        return "it is not a folder"
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        return getattr(error, "strerror", None) or str(error)
    return None if os.access(folder, os.W_OK | os.X_OK) else "it may not be written to"


def _foreign(folder: Path) -> str | None:
    """Why others than this user could lay files into a folder; a group's right to is taken away."""
    if not hasattr(os, "geteuid"):
        return None
    state = folder.lstat()
    if stat.S_ISLNK(state.st_mode):
        return "it is a link"
    if state.st_uid != os.geteuid():
        return "it belongs to another user"
    if state.st_mode & stat.S_IWOTH:
        return f"others can write to it (mode {stat.S_IMODE(state.st_mode):o}), and kernels are run"
    if state.st_mode & stat.S_IWGRP:
        # As earlier versions left it where users share no group: made safe, as kernels' files are
        # looked at one by one.
        folder.chmod(stat.S_IMODE(state.st_mode) & ~stat.S_IWGRP)
    return None


def _exposed(cache: Path) -> str | None:
    """Why others could lay another folder in the place of the kernels' own."""
    state = cache.stat()
    if hasattr(os, "geteuid") and state.st_uid not in (os.geteuid(), 0):
        return "it belongs to another user"
    if state.st_mode & stat.S_IWOTH and not state.st_mode & stat.S_ISVTX:
        return f"others can write to it (mode {stat.S_IMODE(state.st_mode):o}), and kernels are run"
    return None


def kernel_cache(cache: Path) -> Path:
    """Folder for numba's compiled kernels, named after the state of the kernel sources.

    numba compares only the file of the compiled function itself and would go on using kernels whose
    helpers in other modules have changed. A new name forces a fresh compilation; the oldest
    folders are removed.

    Raises:
        InputError: the folder cannot be written, or others than this user can write to it.
    """
    digest = hashlib.sha256()
    package = Path(__file__).parent
    sources = (path for name in _KERNEL_PACKAGES for path in (package / name).rglob("*.py"))
    for source in sorted(sources):
        state = source.stat()
        digest.update(f"{source}:{state.st_size}:{state.st_mtime_ns};".encode())
    parent = cache / "kernels"
    folder = parent / digest.hexdigest()[:12]
    fresh = not folder.is_dir()
    reason = _exposed(cache)
    for place in (cache, parent, folder):
        if place != cache:
            reason = _unusable(place, 0o700) or _foreign(place)
        if reason:
            raise InputError(
                f"compiled kernels cannot be kept in {place}: {reason}",
                f"run chmod go-w {place}, remove it, or set TALKCLI_CACHE to a folder of yours",
            )
    if fresh:
        others = [other for other in parent.iterdir() if other != folder]
        others.sort(key=lambda other: other.lstat().st_mtime, reverse=True)
        for outdated in others[_KEPT_KERNEL_CACHES - 1 :]:
            shutil.rmtree(outdated, ignore_errors=True)
    return folder
