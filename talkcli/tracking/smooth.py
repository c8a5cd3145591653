"""Removes jitter from curves: a Kalman smoother for pose, an edge-preserving filter for gaze."""

from __future__ import annotations

import numpy as np

#: Noise is measured in the quietest part of a curve: at this quantile of its second differences.
_QUIET = 0.35
#: ... which for white noise of unit deviation (√6 for the second differences) would be this.
_QUIET_NORMAL = 0.454 * np.sqrt(6.0)


def measurement_noise(values: np.ndarray) -> np.ndarray:
    """``[C]`` standard deviation of white noise on curves ``[T, C]``, measured where they rest."""
    if len(values) < 3:
        return np.zeros(values.shape[1])
    second = np.abs(np.diff(values, 2, axis=0))
    return np.asarray(np.quantile(second, _QUIET, axis=0) / _QUIET_NORMAL)


def smooth_motion(
    times: np.ndarray, values: np.ndarray, noise: np.ndarray, agility: np.ndarray
) -> np.ndarray:
    """Rauch–Tung–Striebel smoothing of curves that move with bounded acceleration.

    Each curve is a point whose velocity is changed by white acceleration. Source: H. Rauch, F.
    Tung, C. Striebel, "Maximum likelihood estimates of linear dynamic systems", 1965.

    Args:
        times: ``[T]`` seconds, increasing, at any intervals.
        values: ``[T, C]`` measured values.
        noise: ``[C]`` standard deviation of the measurement; curves without noise stay as they are.
        agility: ``[C]`` spectral density of the acceleration, as its standard deviation over one
            second: unit of the curve per s^1.5.

    Returns:
        ``[T, C]``.
    """
    count, channels = values.shape
    if count < 3:
        return values.copy()
    variance = np.maximum(noise, 1e-9) ** 2
    states = np.zeros((count, channels, 2))
    covariances = np.zeros((count, channels, 2, 2))
    predicted = np.zeros_like(states)
    predictions = np.zeros_like(covariances)
    state = np.stack([values[0], np.zeros(channels)], -1)
    covariance = np.zeros((channels, 2, 2))
    covariance[:, 0, 0] = variance
    covariance[:, 1, 1] = agility**2
    steps = np.maximum(np.diff(times, prepend=times[0]), 1e-4)
    for t in range(count):
        if t > 0:
            move = np.array([[1.0, steps[t]], [0.0, 1.0]])
            state = state @ move.T
            covariance = move @ covariance @ move.T + _disturbance(steps[t], agility)
        predicted[t], predictions[t] = state, covariance
        gain = covariance[:, :, 0] / (covariance[:, 0, 0] + variance)[:, None]
        state = state + gain * (values[t] - state[:, 0])[:, None]
        covariance = covariance - gain[:, :, None] * covariance[:, None, 0, :]
        states[t], covariances[t] = state, covariance
    for t in range(count - 2, -1, -1):
        move = np.array([[1.0, steps[t + 1]], [0.0, 1.0]])
        gain = covariances[t] @ move.T @ np.linalg.inv(predictions[t + 1])
        states[t] += np.einsum("cij,cj->ci", gain, states[t + 1] - predicted[t + 1])
    return states[..., 0]


def _disturbance(step: float, agility: np.ndarray) -> np.ndarray:
    """``[C, 2, 2]`` covariance that white acceleration adds to position and velocity in a step."""
    shape = np.array([[step**3 / 3, step**2 / 2], [step**2 / 2, step]])
    return np.asarray(shape * (agility**2)[:, None, None])


def keep_edges(values: np.ndarray, reach: int, unlike: float) -> np.ndarray:
    """Average neighbouring frames, with little weight on dissimilar ones, so that steps stay steps.

    Args:
        values: ``[T, C]``.
        reach: number of frames on either side.
        unlike: distance at which a frame has 0.6 of the weight of an equal one.

    Returns:
        ``[T, C]``.
    """
    count = len(values)
    index = np.clip(np.arange(count)[:, None] + np.arange(-reach, reach + 1), 0, count - 1)
    around = values[index]
    distance = np.linalg.norm(around - values[:, None], axis=-1) / unlike
    weights = np.exp(-0.5 * distance**2)[..., None]
    return np.asarray((weights * around).sum(1) / weights.sum(1))
