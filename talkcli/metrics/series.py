"""Values over time: runs of them, and where between two of them a peak lies."""

from __future__ import annotations

import numpy as np

from talkcli.shapes import Bool, Real


def runs(flags: Bool[np.ndarray, " n"]) -> list[tuple[int, int]]:
    """First index of every run of true values, and the index after its last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def peak_place(values: Real[np.ndarray, " n"], best: int) -> float:
    """Where a parabola through the best value and its neighbours peaks, in steps from the best."""
    if not 0 < best < len(values) - 1:
        return 0.0
    before, here, after = values[best - 1 : best + 2]
    bend = before - 2.0 * here + after
    return float(0.5 * (before - after) / bend) if bend < -1e-12 else 0.0
