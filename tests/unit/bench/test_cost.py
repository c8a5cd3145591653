"""CPU time told part by part."""

from __future__ import annotations

import threading
import time

import pytest

from talkcli.bench import cost
from talkcli.bench.cost import PARTS, CpuStopwatch, Film


def test_each_part_has_the_time_of_its_own_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = threading.local()
    monkeypatch.setattr(cost.time, "thread_time", lambda: getattr(spent, "seconds", 0.0))
    watch = CpuStopwatch()

    def work(name: str, seconds: float) -> None:
        for _ in range(2):
            with watch.measure(name):
                spent.seconds = getattr(spent, "seconds", 0.0) + seconds

    threads = [
        threading.Thread(target=work, args=job)
        for job in (("motion", 0.25), ("render", 2.0), ("load", 0.5))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert watch.cpu == {"motion": 0.5, "render": 4.0, "load": 1.0}
    assert set(watch.seconds) == set(watch.cpu)
    # Loading is part of what remains.
    assert watch.parts(process_s=7.0, encoder_s=3.0) == {
        "motion": 0.5, "render": 4.0, "compose": 0.0, "encode": 3.0, "other": 2.5
    }  # fmt: skip


def test_waiting_costs_nothing() -> None:
    watch = CpuStopwatch()
    with watch.measure("render"):
        threading.Event().wait(0.05)
    assert watch.cpu["render"] < watch.seconds["render"]


def test_a_part_that_fails_counts() -> None:
    watch = CpuStopwatch()
    with pytest.raises(ValueError, match="broken"), watch.measure("render"):
        before = time.thread_time()
        while time.thread_time() == before:
            pass
        raise ValueError("broken")
    assert watch.cpu["render"] > 0


def film(seconds: float, start_s: float = 1.0, **per_second: float) -> Film:
    cpu = {name: per_second.get(name, 0.0) * seconds for name in PARTS}
    return Film(seconds, round(25 * seconds), cpu | {"other": cpu["other"] + start_s})


def test_the_start_is_no_cost_of_the_film() -> None:
    parts = {"motion": 0.1, "render": 0.5, "encode": 0.2}
    found = cost.film_cost(film(1, **parts), film(5, **parts))
    assert found.per_second == pytest.approx(dict.fromkeys(PARTS, 0.0) | parts)
    assert found.start_s == pytest.approx(1) and found.frame_ms == pytest.approx(32)
    answer = found.as_json(sgemm_gflops=40.0)
    assert answer["normalised_gflop"] == 1.28 and answer["cpu_per_second"] == 0.8


def test_noise_makes_no_part_negative() -> None:
    found = cost.film_cost(film(1, 1.2, render=0.5), film(5, 1.0, render=0.5))
    assert found.per_second["other"] == 0 and found.per_second["render"] == 0.5


def test_each_part_counts_where_it_was_disturbed_least() -> None:
    found = cost.cheapest([film(2, 1.5, render=0.5), film(2, 1.0, render=0.7)])
    assert found.cpu["render"] == 1.0 and found.cpu["other"] == 1.0 and found.frames == 50


@pytest.mark.parametrize("seconds", [0.5, 1.0, 5.0, 60.0])
def test_films_differ_in_length_and_are_no_longer_than_asked_for(seconds: float) -> None:
    short, whole = cost.film_lengths(seconds)
    assert 0 < short < whole <= seconds
