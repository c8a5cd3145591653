"""Log-mel speech features, identical whether streamed or offline, and independent of level.

:class:`LogMelStream` turns 16 kHz samples into log-mel frames (80 bands, 25 ms window, 10 ms hop).
:class:`LevelNormaliser` removes the level and long-term spectrum of the recording with running
statistics, since a stream has no whole utterance to average over. Frame ``j`` is centred on sample
``160 j``, that is on ``j / 100`` seconds.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from talkcli.errors import InputError
from talkcli.kernels.jit import kernel
from talkcli.shapes import Float, Float32, Float64
from talkcli.speech.sound import RATE_HZ

SAMPLE_RATE = RATE_HZ
HOP = 160  # 10 ms
WINDOW = 400  # 25 ms
N_FFT = 1024  # zero-padded: at 512 the lowest of the 80 bands would contain no bin
N_MELS = 80
FRAME_RATE = SAMPLE_RATE // HOP  # 100 frames per second
F_MIN, F_MAX = 50.0, 7600.0

NAT_PER_DB = np.log(10.0) / 10.0  # power decibels to natural log
# The mean square of the 16-bit rounding error is -108 dB; anything lower is digital silence.
LOG_EPS = -120.0 * NAT_PER_DB
FLOOR_DB = 78.0  # below the running level; anything deeper is noise of the recorder, not speech

NORMALISER_DELAY = 8  # frames: a frame is normalised with the level known 80 ms later
# The loud level rises at once and falls slowly, so that it is steady within a sentence. Running
# means of level and spectrum wander in the first seconds; with them held-out aperture r is .03
# lower.
_START_LEVEL = -2.5  # nat; recordings reach -1.1 in the median, soft ones -4
_ATTACK = 0.5  # share of the distance per frame
_DECAY = 0.3 * NAT_PER_DB / FRAME_RATE  # 0.3 dB per second ...
# ... and 9 dB per second once 2.5 s of sound have stayed 9 dB below it: the recording is softer.
_NEAR, _PATIENCE, _FALL = 2.0, 250.0, 0.02
_LOWEST_LEVEL = -16.0
_AUDIBLE = -20.0  # nat; anything softer is digital silence
_ENERGY_SHARE, _ENERGY_FALL = 0.5, 3.0  # energy is averaged over two frames against clicks
_LOUD = 2.0  # nat; offset that centres normalised speech
_SCALE = 2.2  # nat; standard deviation of the bands over the training speech
# Long-term average spectrum of speech relative to its level, in nat, at these frequencies.
_SHAPE_HZ = (50.0, 120.0, 250.0, 500.0, 1000.0, 2000.0, 3500.0, 5500.0, 7600.0)
_SHAPE_NAT = (-0.3, 0.8, 0.4, -1.2, -4.6, -5.2, -6.3, -8.3, -9.5)


def mel_centres() -> Float64[np.ndarray, " 80"]:
    """Centre frequencies of the bands, Hz."""
    return _mel_edges()[1:-1]


def _mel_edges() -> np.ndarray:
    """``[82]`` Hz, evenly spaced on the HTK mel scale, 50–7600 Hz."""
    low, high = 2595.0 * np.log10(1.0 + np.array([F_MIN, F_MAX]) / 700.0)
    return 700.0 * (10.0 ** (np.linspace(low, high, N_MELS + 2) / 2595.0) - 1.0)


@lru_cache(maxsize=1)
def _filterbank() -> np.ndarray:
    """Triangular filters of unit sum ``[80, 513]``: they give the mean power of each band."""
    edges = _mel_edges()
    hertz = np.arange(N_FFT // 2 + 1) * (SAMPLE_RATE / N_FFT)
    rise = (hertz[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - hertz[None]) / (edges[2:] - edges[1:-1])[:, None]
    weights = np.maximum(0.0, np.minimum(rise, fall))
    return weights / weights.sum(1, keepdims=True)


@lru_cache(maxsize=1)
def _window() -> np.ndarray:
    """Hann window ``[400]``, scaled so that white noise keeps its mean square in each band."""
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)
    return window / np.sqrt((window**2).sum())


class LogMelStream:
    """Turns samples into log-mel frames, in blocks of any size and in bounded memory."""

    def __init__(self) -> None:
        # Half a window of silence in front centres frame 0 on sample 0.
        self._tail = np.zeros(WINDOW // 2, np.float64)

    def push(self, pcm: Float[np.ndarray, ...]) -> Float64[np.ndarray, "frames 80"]:
        """Take the next samples and return the frames they complete.

        Args:
            pcm: ``[samples]`` mono at 16 kHz, full scale 1.0.

        Returns:
            Natural log of the band power; 0 is a full-scale mean square.

        Raises:
            InputError: the samples are not one channel or not finite.
        """
        if pcm.ndim != 1:
            raise InputError(f"speech features need one channel of samples, got {pcm.shape}")
        if not np.isfinite(pcm).all():
            raise InputError("the audio contains samples that are not finite numbers")
        out = []
        # A block may hold an hour; slices of 10 s bound the memory for windows and spectra.
        for start in range(0, len(pcm), 10 * SAMPLE_RATE):
            out.append(self._frames(pcm[start : start + 10 * SAMPLE_RATE]))
        return np.concatenate(out) if out else np.zeros((0, N_MELS))

    def finish(self) -> Float64[np.ndarray, "frames 80"]:
        """The frames whose window reaches past the last sample, padded with silence."""
        return self._frames(np.zeros(WINDOW // 2))

    def _frames(self, pcm: np.ndarray) -> np.ndarray:
        samples = np.concatenate([self._tail, pcm.astype(np.float64)])
        count = max(0, (len(samples) - WINDOW) // HOP + 1)
        self._tail = samples[count * HOP :]
        if count == 0:
            return np.zeros((0, N_MELS))
        windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP][:count]
        spectrum = np.abs(np.fft.rfft(windows * _window(), N_FFT)) ** 2
        return np.log(spectrum @ _filterbank().T + np.exp(LOG_EPS))


class LevelNormaliser:
    """Removes the level of the recording from log-mel frames, with 80 ms of look-ahead.

    It subtracts the loud level of the last seconds and the long-term average spectrum of speech.
    After the first seconds, scaling the audio changes nothing.
    """

    def __init__(self) -> None:
        self._pending = np.zeros((0, N_MELS))
        # Loud level, smoothed energy, frames of sound since it was near that level.
        self._state = np.array([_START_LEVEL, LOG_EPS, 0.0])
        self._colour = np.interp(mel_centres(), _SHAPE_HZ, _SHAPE_NAT)

    def push(self, log_mel: Float[np.ndarray, "new 80"]) -> Float32[np.ndarray, "frames 80"]:
        """Take the next raw frames and return normalised ones, 8 frames behind.

        Returns:
            Features of about zero mean and unit deviation while somebody speaks.
        """
        frames = np.concatenate([self._pending, np.asarray(log_mel, np.float64)])
        levels = np.empty(len(frames) - len(self._pending))
        follow_levels(frames[len(self._pending) :], self._state, levels)
        count = max(len(frames) - NORMALISER_DELAY, 0)
        out = self._normalise(frames[:count], levels[len(levels) - count :])
        self._pending = frames[count:]
        return out

    def finish(self) -> Float32[np.ndarray, "frames 80"]:
        """The last frames, normalised with the current level."""
        out = self._normalise(self._pending, np.full(len(self._pending), self._state[0]))
        self._pending = self._pending[len(self._pending) :]
        return out

    def _normalise(self, frames: np.ndarray, levels: np.ndarray) -> np.ndarray:
        floored = np.maximum(frames, levels[:, None] - FLOOR_DB * NAT_PER_DB)
        normal = (floored - levels[:, None] - self._colour + _LOUD) / _SCALE
        return normal.astype(np.float32)


@kernel(fastmath=False)
def follow_levels(frames: np.ndarray, state: np.ndarray, levels: np.ndarray) -> None:
    """Loud level after each raw frame: ``[k, 80]`` to ``[k]`` nat; updates ``state [3]``."""
    bands = frames.shape[1]
    for index in range(len(frames)):
        # Spelt out: reductions of numpy take seconds to compile.
        highest = frames[index, 0]
        for band in range(1, bands):
            if frames[index, band] > highest:
                highest = frames[index, band]
        total = 0.0
        for band in range(bands):
            total += np.exp(frames[index, band] - highest)
        energy = highest + np.log(total / bands)
        smooth = _ENERGY_SHARE * energy + (1.0 - _ENERGY_SHARE) * state[1]
        state[1] = max(smooth, energy - _ENERGY_FALL)
        level = state[0]
        if state[1] > level:
            level += _ATTACK * (state[1] - level)
        elif state[1] > _AUDIBLE:
            level -= _DECAY if state[2] < _PATIENCE else _FALL
        if state[1] > level - _NEAR:
            state[2] = 0.0
        elif state[1] > _AUDIBLE:
            state[2] += 1.0
        state[0] = max(level, _LOWEST_LEVEL)
        levels[index] = state[0]


def frame_energy(log_mel: Float[np.ndarray, "*frames 80"]) -> Float[np.ndarray, "*frames"]:
    """Natural log of the mean band power."""
    peak = log_mel.max(-1)
    return peak + np.log(np.exp(log_mel - peak[..., None]).mean(-1))


def speech_features(
    pcm: Float[np.ndarray, " samples"],
) -> Float32[np.ndarray, "1+samples//160 80"]:
    """Normalised features of a whole recording of mono samples at 16 kHz."""
    mel, norm = LogMelStream(), LevelNormaliser()
    raw = np.concatenate([mel.push(pcm), mel.finish()])
    return np.concatenate([norm.push(raw), norm.finish()])
