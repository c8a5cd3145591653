"""Curves over time as inline SVG: the made one over the real one."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass

import numpy as np

from talkcli.shapes import Float

#: Drawing area, units of the SVG.
_WIDTH, _HEIGHT = 720, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 8, 12, 28
#: More points than this are averaged in groups: a screen has no more columns.
_MOST_POINTS = 1200
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Plot:
    """Curves over time in one frame.

    Attributes:
        title: what they show, with its unit.
        times: ``[n]`` seconds, increasing.
        made: ``[n]``, NaN where there is no value.
        real: ``[n]`` the same of the real video, or None if the figure is about both.
    """

    title: str
    times: Float[np.ndarray, " n"]
    made: Float[np.ndarray, " n"]
    real: Float[np.ndarray, " n"] | None = None

    def svg(self) -> str:
        """The plot as an ``<svg>`` element, or nothing if there is nothing to draw."""
        curves = [("made", self.made)] + ([] if self.real is None else [("real", self.real)])
        values = np.concatenate([curve for _, curve in curves])
        values = values[np.isfinite(values)]
        if len(values) < 2 or len(self.times) < 2:
            return ""
        ticks = nice_ticks(float(values.min()), float(values.max()), 4)
        seconds = nice_ticks(float(self.times[0]), float(self.times[-1]), 8)
        frame = _Frame(
            (float(self.times[0]), float(self.times[-1])),
            (min(ticks[0], float(values.min())), max(ticks[-1], float(values.max()))),
        )
        parts = [frame.grid(ticks, seconds)]
        # The real curve lies below, so that the made one is seen where they agree.
        parts += [frame.curve(name, self.times, curve) for name, curve in reversed(curves)]
        label = html.escape(self.title, quote=True)
        return (
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
            + "".join(parts)
            + "</svg>"
        )


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """Round values inside a range, about so many; at least one.

    Args:
        low: lower end.
        high: upper end, not below it.
        count: how many are wanted.
    """
    if high - low < 1e-9:
        return [low]
    raw = (high - low) / count
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(scale * s for s in _STEPS if scale * s >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [step * k for k in range(first, math.floor(high / step + 1e-9) + 1)] or [low]


class _Frame:
    """Where values lie in a drawing."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._x, self._y = x, y

    def place(self, time_s: float, value: float) -> tuple[float, float]:
        across = (time_s - self._x[0]) / max(self._x[1] - self._x[0], 1e-9)
        up = (value - self._y[0]) / max(self._y[1] - self._y[0], 1e-9)
        return (
            _LEFT + across * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM),
        )

    def grid(self, ticks: list[float], seconds: list[float]) -> str:
        lines = []
        for value in ticks:
            _, y = self.place(self._x[0], value)
            ends = f'x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"'
            lines.append(
                f'<line class="grid" {ends}/>'
                f'<text x="{_LEFT - 5}" y="{y + 5:.1f}" text-anchor="end">{value:.4g}</text>'
            )
        for time_s in seconds:
            x, _ = self.place(time_s, self._y[0])
            lines.append(
                f'<text x="{x:.1f}" y="{_HEIGHT - 6}" text-anchor="middle">{time_s:.4g} s</text>'
            )
        return "".join(lines)

    def curve(self, name: str, times: np.ndarray, values: np.ndarray) -> str:
        """Lines through the values, broken where there is none."""
        times, values = _thinned(times, values)
        lines, run = [], []
        for time_s, value in zip(times.tolist(), values.tolist(), strict=True):
            if math.isfinite(value):
                run.append("{:.1f},{:.1f}".format(*self.place(time_s, value)))
            elif run:
                lines.append(run)
                run = []
        lines.append(run)
        return "".join(
            f'<polyline class="{name}" points="{" ".join(line)}"/>' for line in lines if line
        )


def _thinned(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over groups of successive values, if there are too many."""
    group = -(-len(times) // _MOST_POINTS)
    if group == 1:
        return times, values
    starts = range(0, len(times), group)
    means = [
        np.nan if np.isnan(values[k : k + group]).all() else np.nanmean(values[k : k + group])
        for k in starts
    ]
    return times[::group], np.array(means)
