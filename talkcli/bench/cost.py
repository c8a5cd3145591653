"""What a second of film costs in CPU time, part by part.

The parts run in threads of their own, and kernels may share their work among further threads, whose
time cannot be told apart. So films are made by the ordinary code in a process with one compute
thread: then each part's time is that of its own thread (:class:`CpuStopwatch`), the encoder's is
what the system accounts for the ended ffmpeg, and the rest of the process is what remains. Two
films of different length are made; what the longer one costs more is the cost of its additional
seconds, free of the start.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from talkcli.progress import Stopwatch

#: Parts that the pipeline times, each in a thread of its own: motion from sound; posing and
#: rendering; compositing.
THREADS = ("motion", "render", "compose")
#: All parts: those, ffmpeg, and what remains: reading sound, handing frames over, waiting.
PARTS = (*THREADS, "encode", "other")

#: Seconds of the two films at most: long enough for several blocks of sound, which is heard by the
#: second.
_SHORT_S, _WHOLE_S = 1.0, 11.0


class CpuStopwatch(Stopwatch):
    """A stopwatch that also adds up the CPU seconds of the thread that runs each part.

    Attributes:
        cpu: CPU seconds of each part, by name, without those of helping threads.
    """

    def __init__(self, age_s: float = 0.0) -> None:
        super().__init__(age_s)
        self.cpu: dict[str, float] = {}

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the duration of the block, and its CPU time, to ``name``."""
        start = time.thread_time()
        try:
            with super().measure(name):
                yield
        finally:
            used = time.thread_time() - start
            with self._lock:
                self.cpu[name] = self.cpu.get(name, 0.0) + used

    def parts(self, process_s: float, encoder_s: float) -> dict[str, float]:
        """CPU seconds of all ``PARTS``.

        Args:
            process_s: CPU seconds of this process.
            encoder_s: CPU seconds of ffmpeg.
        """
        parts = {name: self.cpu.get(name, 0.0) for name in THREADS}
        return {**parts, "encode": encoder_s, "other": process_s - sum(parts.values())}


@dataclass(frozen=True)
class Film:
    """One film and what it took.

    Attributes:
        duration_s: its length.
        frames: number of its frames.
        cpu: CPU seconds of each of ``PARTS``, the start of the process included.
    """

    duration_s: float
    frames: int
    cpu: Mapping[str, float]


@dataclass(frozen=True)
class Cost:
    """CPU time with a single compute thread.

    Attributes:
        start_s: CPU seconds before and beside the frames: libraries, the avatar, the encoder.
        per_second: CPU seconds per second of film of each of ``PARTS``.
        frame_ms: CPU milliseconds of a frame, all parts together.
    """

    start_s: float
    per_second: dict[str, float]
    frame_ms: float

    def as_json(self, sgemm_gflops: float) -> dict[str, Any]:
        """Plain values.

        Args:
            sgemm_gflops: speed of one core in the same run.
        """
        return {
            "start_s": round(self.start_s, 3),
            "per_second": {name: round(value, 4) for name, value in self.per_second.items()},
            "cpu_per_second": round(sum(self.per_second.values()), 4),
            "frame_ms": round(self.frame_ms, 2),
            # Milliseconds times 10⁹ operations per second are 10⁶ operations.
            "normalised_gflop": round(self.frame_ms * sgemm_gflops / 1e3, 3),
        }


def film_lengths(seconds: float) -> tuple[float, float]:
    """Seconds of the two films for videos of ``seconds``."""
    return min(_SHORT_S, seconds / 2), min(_WHOLE_S, seconds)


def cheapest(films: Sequence[Film]) -> Film:
    """The same film made several times: each part in the least time, disturbed by others least."""
    cpu = {name: min(film.cpu[name] for film in films) for name in PARTS}
    return Film(films[0].duration_s, films[0].frames, cpu)


def film_cost(short: Film, whole: Film) -> Cost:
    """The cost of a film, from two films of different length.

    On a busy machine the difference of a part that takes next to nothing may be below zero; it
    counts as nothing.
    """
    seconds = whole.duration_s - short.duration_s
    more = {name: max(0.0, whole.cpu[name] - short.cpu[name]) for name in PARTS}
    per_second = {name: value / seconds for name, value in more.items()}
    start_s = sum(short.cpu.values()) - sum(per_second.values()) * short.duration_s
    frame_ms = 1e3 * sum(more.values()) / (whole.frames - short.frames)
    return Cost(max(0.0, start_s), per_second, frame_ms)
