"""Stages that run concurrently and pass their results on in order.

A video is made by motion → render → compose → encode. Each stage waits for something different (one
core, both cores, ffmpeg); run one after another, they would leave a third of two cores idle.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")

#: How long threads may take to stop, seconds. Longer than any frame; a thread stuck reading from a
#: dead network mount must not keep the command from ending.
_STOP_S = 10.0
#: How long a thread that has finished a kernel waits for the thread that holds the interpreter,
#: seconds. With Python's default of 5 ms, computing a second of speech features (40 ms of plain
#: Python) would delay each of the dozen kernel calls of a frame by 5 ms.
_SWITCH_S = 0.0005


class _HaltedError(Exception):
    """The relay was closed while a stage was waiting for its input."""


class _Switching:
    """The interpreter's switch interval, which is shortened while any relay is running.

    It is a single number for the whole process. Relays that start and end in any order, as in a
    batch, must leave it as the first of them found it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders, self._before = 0, 0.0

    def hold(self) -> None:
        with self._lock:
            if not self._holders:
                self._before = sys.getswitchinterval()
                sys.setswitchinterval(min(self._before, _SWITCH_S))
            self._holders += 1

    def release(self) -> None:
        with self._lock:
            self._holders -= 1
            if not self._holders:
                sys.setswitchinterval(self._before)


_switching = _Switching()


class Relay:
    """A chain of stages, one thread each.

    Use it as a context manager. Leaving it, normally or not, stops every stage: waiting stages are
    woken, working ones finish their item. The last stage is the caller, which iterates over what
    the last call of :meth:`stage` returned; an error in any earlier stage is raised there, after
    the items that precede it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._halted = False
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Relay:
        _switching.hold()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._halted = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(_STOP_S)
        _switching.release()

    def stage(self, name: str, items: Iterable[T], ahead: int) -> Iterator[T]:
        """Consume ``items`` in a separate thread and keep up to ``ahead`` of them ready.

        In addition, one may be in the making and one in use: a source that fills buffers in turn
        needs :func:`ring_size` of them, if its consumer is done with each item before it asks for
        the next.

        Args:
            name: name of the thread.
            items: an iterable, usually an earlier stage.
            ahead: number of items to keep ready, at least 1.
        """
        stage: _Stage[T] = _Stage(self._changed, lambda: self._halted, ahead)
        thread = threading.Thread(
            target=stage.run, args=(items,), name=f"relay-{name}", daemon=True
        )
        self._threads.append(thread)
        thread.start()
        return stage


def ring_size(ahead: int) -> int:
    """Number of buffers for a stage that keeps ``ahead`` items ready, see :meth:`Relay.stage`."""
    return ahead + 2


class _Stage(Iterator[T], Generic[T]):
    """A bounded queue that ends with its source, or with an error of its source."""

    def __init__(
        self, changed: threading.Condition, halted: Callable[[], bool], ahead: int
    ) -> None:
        self._changed = changed
        self._halted = halted
        self._ahead = ahead
        self._ready: deque[T] = deque()
        self._ended = False
        self._error: BaseException | None = None

    def run(self, items: Iterable[T]) -> None:
        """Run the stage; called in its thread."""
        error: BaseException | None = None
        try:
            for item in items:
                if not self._put(item):
                    return
        except _HaltedError:
            return
        except BaseException as failure:  # noqa: BLE001  (raised again by __next__)
            error = failure
        with self._changed:
            self._error, self._ended = error, True
            self._changed.notify_all()

    def __next__(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._ended or self._halted())
            if self._halted():
                raise _HaltedError
            if self._ready:
                item = self._ready.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None:
                raise self._error
            raise StopIteration

    def _put(self, item: T) -> bool:
        """Wait for room and add the item; False if the relay was closed meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._ready) < self._ahead or self._halted())
            if not self._halted():
                self._ready.append(item)
                self._changed.notify_all()
            return not self._halted()
