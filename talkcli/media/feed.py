"""Feeds sound to ffmpeg through a second pipe, beside the one for frames."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator

import numpy as np

#: Lower numbers are standard input, output and error, which the child gets anew.
_FIRST_FREE = 3


class SoundFeed:
    """A thread that writes samples into a pipe as fast as ffmpeg reads them.

    ffmpeg never opens the user's file. It gets the samples that the motion is made from: cleaned,
    from the same track, counted in the same way. The two pipes cannot block each other, because
    each is filled by a thread that waits for nothing else.

    Args:
        samples: ``[n, C]`` float32 blocks.

    Attributes:
        read_end: file descriptor that the child inherits; :meth:`start` closes it in this process.
        error: what ended the thread early, or None.
    """

    def __init__(self, samples: Iterator[np.ndarray]) -> None:
        self._samples = samples
        self.read_end, self._write_end = (_above_standard(end) for end in os.pipe())
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._feed, name="encoder-sound", daemon=True)

    def start(self) -> None:
        """Start writing, once the child is running."""
        os.close(self.read_end)
        self._thread.start()

    def abandon(self) -> None:
        """Close the pipe of a child that did not start."""
        os.close(self.read_end)
        os.close(self._write_end)

    def join(self) -> None:
        """Wait until everything is written or the child is gone."""
        self._thread.join()

    def _feed(self) -> None:
        with open(self._write_end, "wb", buffering=0) as pipe:
            try:
                for block in self._samples:
                    rest = memoryview(block.tobytes())
                    while rest:
                        rest = rest[pipe.write(rest) :]
            except BrokenPipeError:
                return  # the child has gone, or needs no more; how it ended tells which
            except Exception as error:  # noqa: BLE001 (raised again by whoever waits for it)
                self.error = error


def _above_standard(end: int) -> int:
    """The same pipe end under a number that the child's standard streams do not take."""
    if end >= _FIRST_FREE:
        return end
    moved = fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    os.close(end)
    return moved
