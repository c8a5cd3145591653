"""The threads that run kernels: they sleep between jobs, never spin and are never in the way.

Plain Python threads suffice because kernels release the GIL. Waking one costs some 20–50 µs,
compared with milliseconds for a frame; in exchange, no OpenMP runtime is needed, nothing spins next
to other busy processes, and a thread that wakes late finds its share already done by the caller.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

Job = Callable[[int], None]


class _Batch:
    """Parts 0 … n-1 of one job, handed out one at a time to the threads that ask."""

    def __init__(self, job: Job, parts: int) -> None:
        self._job = job
        self._parts = parts
        self._lock = threading.Lock()
        self._next = 0
        self._running = 0
        self._idle = threading.Event()
        self._error: BaseException | None = None

    def work(self) -> None:
        """Run parts until none are left."""
        while True:
            with self._lock:
                if self._next >= self._parts or self._error is not None:
                    return
                part = self._next
                self._next += 1
                self._running += 1
            try:
                self._job(part)
            except BaseException as error:  # noqa: BLE001  (raised again by finish)
                self._error = error
            with self._lock:
                self._running -= 1
                if self._running == 0:
                    self._idle.set()

    def finish(self) -> None:
        """Wait for the parts that other threads still run, and raise any error."""
        while True:
            with self._lock:
                if self._running == 0:
                    break
                self._idle.clear()
            self._idle.wait()
        if self._error is not None:
            raise self._error


class _Pool:
    def __init__(self) -> None:
        self.pid = os.getpid()
        self._jobs: SimpleQueue[_Batch] = SimpleQueue()
        self._threads = 0
        self._lock = threading.Lock()

    def offer(self, batch: _Batch, helpers: int) -> None:
        """Ask ``helpers`` threads to join in."""
        with self._lock:
            while self._threads < helpers:
                self._threads += 1
                name = f"talkcli-render-{self._threads}"
                threading.Thread(target=self._serve, name=name, daemon=True).start()
        for _ in range(helpers):
            self._jobs.put(batch)

    def _serve(self) -> None:
        while True:
            self._jobs.get().work()


_pool = _Pool()


def run(job: Job, parts: int, threads: int) -> None:
    """Call ``job(part)`` for every part, on the caller's and other threads, until all are done.

    Which thread runs which part is left to chance; jobs must give the same result in any order.

    Args:
        job: called with each of 0 … parts-1 once, with some of the calls at the same time.
        parts: number of parts.
        threads: largest number of threads to work at once, including the caller's.
    """
    global _pool
    helpers = min(threads, parts) - 1
    if helpers < 1:
        for part in range(parts):
            job(part)
        return
    if _pool.pid != os.getpid():
        # A forked child inherits the pool object but none of its threads.
        _pool = _Pool()
    batch = _Batch(job, parts)
    _pool.offer(batch, helpers)
    batch.work()
    batch.finish()
