"""The threads behind the kernels: every part once, errors passed on, forks and crowds survived."""

from __future__ import annotations

import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from talkcli import runtime
from talkcli.kernels import pool
from tests.support.render import play
from tests.support.scenes import RECIPES, make_scene


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("parts", [0, 1, 7])
def test_every_part_runs_once(parts: int, threads: int) -> None:
    seen: Counter[int] = Counter()
    pool.run(lambda part: seen.update([part]), parts, threads)
    assert seen == Counter(range(parts))


def test_an_error_in_a_part_reaches_the_caller() -> None:
    ready = threading.Barrier(2)

    def job(part: int) -> None:
        if part < 2:
            ready.wait(10)
        if part == 1:
            raise ArithmeticError("part 1")

    with pytest.raises(ArithmeticError, match="part 1"):
        pool.run(job, 2, 2)
    seen: list[int] = []
    pool.run(seen.append, 3, 2)
    assert sorted(seen) == [0, 1, 2]


def test_several_callers_render_at_once() -> None:
    scenes = [make_scene(RECIPES["several tiles"], seed=s, covars=True) for s in range(6)]
    expected = [play(scene, threads=1) for scene in scenes]
    with ThreadPoolExecutor(3) as callers:
        drawn = list(callers.map(lambda scene: play(scene, threads=2), scenes * 3))
    for one, other in zip(expected * 3, drawn, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_renders() -> None:
    scene = make_scene(RECIPES["several tiles"], covars=True)
    expected = play(scene, threads=2)[0]
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(play(scene, threads=2)[0], expected) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(("value", "expected"), [("3", 3), (" 2 ", 2)])
def test_the_environment_sets_the_number_of_threads(
    value: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert runtime.thread_count() == expected


@pytest.mark.parametrize("value", ["", "0", "many"])
def test_without_a_number_every_core_is_used(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert runtime.thread_count() >= 1
