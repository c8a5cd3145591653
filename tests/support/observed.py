"""Made-up people who speak: curves as they are observed in videos."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from talkcli.metrics.observed import HEARD_HZ, Heard, Observed
from talkcli.types import ARKIT_NAMES, MotionCurves


def sway(
    rng: np.random.Generator, times: np.ndarray, amount: float, softness_s: float = 0.3
) -> np.ndarray:
    """Smooth noise of a deviation, at some increasing times."""
    step = 0.01
    grid = np.arange(times[0] - 3.0, times[-1] + 3.0, step)
    noise = gaussian_filter1d(rng.normal(size=len(grid)), softness_s / step)
    return np.asarray(amount * np.interp(times, grid, noise / noise.std()))


def spoken(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """``[m]`` lip opening at :data:`HEARD_HZ`, cm: syllables, and a pause in every few seconds."""
    times = np.arange(round(seconds * HEARD_HZ)) / HEARD_HZ
    opening = np.maximum(0.0, 0.5 + sway(rng, times, 0.5, 0.07))
    opening[np.mod(times, 4.0) > 3.2] = 0.0
    return opening


def person(
    seconds: float = 30.0,
    fps: float = 25.0,
    *,
    delay_s: float = 0.0,
    noise_cm: float = 0.2,
    seed: int = 0,
) -> Observed:
    """Somebody who speaks, whose lips are so much later than the sound."""
    rng = np.random.default_rng(seed)
    heard = spoken(rng, seconds)
    times = (np.arange(round(seconds * fps)) + 0.5) / fps
    aperture = np.interp(times - delay_s, np.arange(len(heard)) / HEARD_HZ, heard)
    aperture = aperture + rng.normal(size=len(times)) * noise_cm
    expression = np.zeros((len(times), 52), np.float32)
    for start in np.arange(2.0, seconds - 1.0, 3.5):  # 17 blinks a minute
        shape = np.interp(times, [start, start + 0.1, start + 0.14, start + 0.34], [0, 1, 1, 0])
        for side in ("Left", "Right"):
            expression[:, ARKIT_NAMES.index(f"eyeBlink{side}")] += shape.astype(np.float32)
    turns = np.stack([sway(rng, times, amount) for amount in (4.0, 3.0, 2.0)], 1)
    ways = np.stack([sway(rng, times, amount) for amount in (0.6, 0.4, 0.5)], 1)
    gaze = np.stack([sway(rng, times, amount) for amount in (3.0, 2.0)], 1)
    curves = MotionCurves(
        times, expression, turns.astype(np.float32), ways.astype(np.float32),
        gaze.astype(np.float32), np.ones(len(times), bool), seconds,
    )  # fmt: skip
    silent = heard == 0.0
    shoulders = np.abs(sway(rng, times, 1.0))
    return Observed(curves, aperture, sway(rng, times, 0.1), shoulders, Heard(heard, silent))
