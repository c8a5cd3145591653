"""Jobs timed in turns: whatever else the machine does falls on all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Job = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """Milliseconds of every run of one job."""

    runs_ms: np.ndarray

    @property
    def median_ms(self) -> float:
        """What to compare: half of the runs took no longer."""
        return float(np.median(self.runs_ms))

    @property
    def best_ms(self) -> float:
        """What the machine can do when nobody else wants it."""
        return float(self.runs_ms.min())

    def as_json(self) -> dict[str, float]:
        """Milliseconds and rates."""
        return {
            "median_ms": round(self.median_ms, 3),
            "best_ms": round(self.best_ms, 3),
            "per_second": round(1e3 / self.median_ms, 2),
            "best_per_second": round(1e3 / self.best_ms, 2),
        }


def interleaved(
    jobs: Mapping[str, Job],
    repeats: int,
    *,
    settle: Job | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Time each job ``repeats`` times, all of them taking turns, after one round to warm up.

    Args:
        jobs: called without arguments.
        repeats: rounds that count.
        settle: waits until what a job has started is done, as for a GPU.
        clock: seconds; ``time.process_time`` compares serial jobs on a machine that is shared.
    """
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(repeats + 1):
        for name, job in jobs.items():
            start = clock()
            job()
            if settle is not None:
                settle()
            if turn:
                times[name].append(1e3 * (clock() - start))
    return {name: Timing(np.array(values)) for name, values in times.items()}
