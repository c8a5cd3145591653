"""Runs of values, and peaks between them."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.metrics.series import peak_place, runs


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("..", []),
        ("x", [(0, 1)]),
        ("xx.x", [(0, 2), (3, 4)]),
        (".x..xxx", [(1, 2), (4, 7)]),
    ],
)
def test_runs_are_first_and_end(text: str, found: list[tuple[int, int]]) -> None:
    assert runs(np.array([c == "x" for c in text], bool)) == found


def test_a_peak_between_two_values_is_found() -> None:
    places = np.arange(7.0)
    for middle in (2.8, 3.0, 3.4):
        values = -((places - middle) ** 2)
        assert peak_place(values, 3) == pytest.approx(middle - 3)
    assert peak_place(places, 6) == peak_place(places[::-1].copy(), 0) == 0.0
    assert peak_place(np.ones(5), 2) == 0.0
