"""Interleaved timing: jobs take turns, so that other load on the machine affects all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Job = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """The times of one job.

    Attributes:
        runs_ms: ``[n]`` milliseconds of every run.
    """

    runs_ms: np.ndarray

    @property
    def median_ms(self) -> float:
        """Median time, the figure to compare."""
        return float(np.median(self.runs_ms))

    @property
    def best_ms(self) -> float:
        """Shortest time: what the machine can do when idle."""
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
    """Time each job ``repeats`` times, interleaved, after one round to warm up.

    Args:
        jobs: called without arguments.
        repeats: number of timed rounds.
        settle: waits for asynchronous work of a job, as on a GPU.
        clock: returns seconds; ``time.process_time`` suits serial jobs on a shared machine.
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
