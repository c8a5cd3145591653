"""Process settings that must be in place before numeric libraries load.

:func:`configure` is called by the command line (and by the tests) before torch, numba, OpenCV or
MediaPipe are imported: all of them read these variables once, at import. Variables that the user
has set are left alone. This module imports only the standard library and, when it looks for the
cache, platformdirs.
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

#: Packages with kernels, or with helpers that are inlined into kernels.
_KERNEL_PACKAGES = ("kernels", "render", "compose", "engines/portrait", "layers", "speech")
#: How many kernel caches of different code versions are kept; each is a few MB.
_KEPT_KERNEL_CACHES = 3
_IMPORTED = time.monotonic()
#: The cache for which :func:`configure` last did its work.
_configured_for: Path | None = None


def configure() -> None:
    """Set threads, caches, log levels and the process start method, before libraries are imported.

    Idempotent; takes a few milliseconds, and nothing after the first time.
    """
    global _configured_for
    cache = cache_root()
    if cache == _configured_for and os.path.isdir(os.environ.get("NUMBA_CACHE_DIR", "")):
        return
    threads = str(thread_count())
    settings = {
        # PyTorch and numba each bring an OpenMP runtime. If their idle threads spin, they take
        # cores from each other: up to 4 times slower on a busy machine.
        "OMP_WAIT_POLICY": "passive",
        "OMP_NUM_THREADS": threads,
        # numpy's products are small here, but OpenBLAS's threads spin after each: 4 ms per frame of
        # a video, a fifth of all CPU time.
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": threads,
        "NUMBA_NUM_THREADS": threads,
        "NUMBA_CACHE_DIR": str(kernel_cache(cache)),
        # numba's default order starts with tbb, which spins too; workqueue is not thread-safe.
        "NUMBA_THREADING_LAYER_PRIORITY": "omp tbb workqueue",
        # Types are found by trial and error; colouring every error takes a tenth of the time.
        "NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING": "1",
        # MediaPipe pulls in Matplotlib, which needs a writable folder and must not look for a
        # display.
        "MPLCONFIGDIR": str(cache / "matplotlib"),
        "MPLBACKEND": "Agg",
        "GLOG_minloglevel": "2",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    if not _is_count(os.environ.get("NUMBA_NUM_THREADS", "")):
        os.environ["NUMBA_NUM_THREADS"] = threads
    # The kernels exist in compiled form only.
    os.environ["NUMBA_DISABLE_JIT"] = "0"
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    if multiprocessing.get_start_method(allow_none=True) is None:
        # A forked child would inherit locks held by threads that it does not have.
        multiprocessing.set_start_method("spawn")
    # Caused by MediaPipe's use of protobuf; users can do nothing about it.
    warnings.filterwarnings("ignore", message=r"SymbolDatabase\.GetPrototype", category=UserWarning)
    _configured_for = cache


def cache_root() -> Path:
    """The folder for files that can be made again: ``TALKCLI_CACHE``, or the system's cache folder.

    If the system's cannot be written (a read-only home, as in some containers), it is a private
    folder in the system's temporary directory. The folder exists on return.

    Raises:
        InputError: ``TALKCLI_CACHE`` is not a writable folder, or not even the temporary directory
            is writable.
    """
    fix = "set TALKCLI_CACHE to a folder that you can write to"
    if named := os.environ.get("TALKCLI_CACHE"):
        chosen = Path(os.path.expanduser(named))  # an unknown ~user stays as it is
        if reason := _unusable(chosen):
            raise InputError(f"the cache {chosen} (TALKCLI_CACHE) cannot be used: {reason}", fix)
        return chosen
    from platformdirs import user_cache_path

    chosen = user_cache_path("talkcli", appauthor=False)
    if not _unusable(chosen):
        return chosen
    fallback = Path(tempfile.gettempdir()) / f"talkcli-{os.getuid()}"
    # Compiled kernels are loaded from here, so a folder that another user created is not used.
    if reason := _unusable(fallback, 0o700) or _exposed(fallback, private=True):
        raise InputError(f"neither {chosen} nor {fallback} can be used ({reason})", fix)
    return fallback


def available_cpus() -> int:
    """Cores that this process may use, at least 1, given its affinity and container quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = _container_quota(Path("/sys/fs/cgroup"))
    return max(1, min(cores, int(quota + 0.5) if quota else cores))


def thread_count() -> int:
    """Threads for numeric work: ``OMP_NUM_THREADS`` if it is a number, else the available cores."""
    wish = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(wish) if _is_count(wish) else available_cpus()


def _is_count(text: str) -> bool:
    # Python refuses to read numbers of thousands of digits.
    return text.isdecimal() and len(text) < 10 and int(text) > 0


def process_age() -> float:
    """Seconds since this process started or, if the system does not say, since this import."""
    try:
        # Field 22 is the start in clock ticks since boot (man 5 proc); the program name in field 2
        # may contain spaces.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, AttributeError):
        return time.monotonic() - _IMPORTED


class _LenientStream(io.TextIOWrapper):
    """A text stream that drops what it cannot write: a full disk, a closed terminal."""

    def write(self, text: str) -> int:
        """As for any text stream, except that it never fails."""
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """As for any text stream, except that it never fails."""
        with contextlib.suppress(OSError):
            super().flush()


def lenient(stream: TextIO) -> TextIO:
    """The same stream, but ignoring failed writes; unchanged if it is not a file."""
    try:
        number = stream.fileno()
    except (AttributeError, OSError, ValueError):  # replaced by a test, or closed
        return stream
    return _lenient_writer(io.FileIO(number, "w", closefd=False), stream.encoding)


def _lenient_writer(file: io.FileIO, encoding: str) -> TextIO:
    return _LenientStream(
        file, encoding=encoding, errors="backslashreplace", line_buffering=True, write_through=True
    )


def silence_native_logs() -> None:
    """Discard what native libraries write to stderr; Python's own stderr works as before.

    MediaPipe's C++ code logs a dozen lines per model regardless of its log level. Called once,
    early, by the command line, unless ``--debug`` is given. Crash reports of the interpreter still
    reach the terminal. Does nothing if ``sys.stderr`` is not file descriptor 2.
    """
    try:
        if sys.stderr.fileno() != 2:
            return
    except (AttributeError, OSError, ValueError):  # replaced by a test, or closed
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    replacement = _lenient_writer(io.FileIO(terminal, "w"), sys.stderr.encoding)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = replacement
    faulthandler.enable(file=replacement)


def _container_quota(cgroup: Path) -> float | None:
    """CPU quota of the container in cores (cgroups v2, then v1), or None if there is none."""
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
    """Why a folder cannot be written to, or None; a missing folder is created.

    Others cannot write to a folder created here, even with a umask of 0.
    """
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    except FileExistsError:
        return "it is not a folder"
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        return getattr(error, "strerror", None) or str(error)
    return None if os.access(folder, os.W_OK | os.X_OK) else "it is not writable"


def _exposed(folder: Path, *, private: bool) -> str | None:
    """Why other users could put files of theirs into a folder, or in its place; or None.

    Args:
        folder: exists.
        private: it must belong to this user and be no link; a group's right to write is removed.
            Otherwise it may be linked, be root's, or be open to all like ``/tmp``, where nobody
            can replace what others have made.
    """
    state = folder.lstat() if private else folder.stat()
    if stat.S_ISLNK(state.st_mode):
        return "it is a link"
    if state.st_uid != os.geteuid() and (private or state.st_uid != 0):
        return "it belongs to another user"
    if state.st_mode & stat.S_IWOTH and (private or not state.st_mode & stat.S_ISVTX):
        return f"others can write to it (mode {stat.S_IMODE(state.st_mode):o}), and kernels are run"
    if private and state.st_mode & stat.S_IWGRP:
        # Left by earlier versions where every user has a group of their own. Removing the right
        # suffices, since each kernel file is checked as well.
        folder.chmod(stat.S_IMODE(state.st_mode) & ~stat.S_IWGRP)
    return None


def kernel_folder(cache: Path) -> Path:
    """Where compiled kernels of this code belong, named after the state of the kernel sources."""
    digest = hashlib.sha256()
    package = Path(__file__).parent
    sources = (path for name in _KERNEL_PACKAGES for path in (package / name).rglob("*.py"))
    for source in sorted(sources):
        state = source.stat()
        digest.update(f"{source}:{state.st_size}:{state.st_mtime_ns};".encode())
    return cache / "kernels" / digest.hexdigest()[:12]


def kernel_cache(cache: Path) -> Path:
    """Make the folder for numba's compiled kernels, see :func:`kernel_folder`.

    numba compares only the file of the compiled function itself, and would keep using kernels whose
    helpers in other modules have changed. A new folder name forces a fresh compilation; the oldest
    folders are removed.

    Raises:
        InputError: the folder cannot be written, or other users can write to it.
    """
    folder = kernel_folder(cache)
    parent = folder.parent
    fresh = not folder.is_dir()
    reason = _exposed(cache, private=False)
    for place in (cache, parent, folder):
        if place != cache:
            reason = _unusable(place, 0o700) or _exposed(place, private=True)
        if reason:
            raise InputError(
                f"compiled kernels cannot be kept in {place}: {reason}",
                f"run chmod go-w {place}, remove it, or set TALKCLI_CACHE to your own folder",
            )
    if fresh:
        others = [other for other in parent.iterdir() if other != folder]
        others.sort(key=lambda other: other.lstat().st_mtime, reverse=True)
        for outdated in others[_KEPT_KERNEL_CACHES - 1 :]:
            shutil.rmtree(outdated, ignore_errors=True)
    return folder
