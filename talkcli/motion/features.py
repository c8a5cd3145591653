"""Log-mel speech features that come out the same streamed or offline, loud or soft.

Two small machines follow each other: :class:`LogMelStream` turns 16 kHz samples into log-mel
frames (80 bands, 25 ms window, 10 ms hop), :class:`LevelNormaliser` takes out the recording's level
and colour with running statistics, because a stream has no "whole utterance" to average over.
Frame ``j`` is centred on sample ``160 j``, that is on ``j / 100`` seconds.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit

from talkcli.errors import InputError

SAMPLE_RATE = 16_000
HOP = 160  # 10 ms
WINDOW = 400  # 25 ms
N_FFT = 1024  # zero-padded: at 512 the lowest of 80 bands would hold no bin at all
N_MELS = 80
FRAME_RATE = SAMPLE_RATE // HOP  # 100 frames per second
F_MIN, F_MAX = 50.0, 7600.0

NAT_PER_DB = np.log(10.0) / 10.0  # power decibels to natural log
# Mean square of the 16-bit rounding error is -108 dB; anything lower is digital silence.
LOG_EPS = -120.0 * NAT_PER_DB
FLOOR_DB = 78.0  # below the running peak; deeper dips carry no speech, only the recorder's noise

NORMALISER_DELAY = 8  # frames: a frame is normalised with what was known 80 ms later
_PEAK_DECAY = 1.0 * NAT_PER_DB / FRAME_RATE  # the peak forgets 1 dB per second
_WEIGHT_POWER = 0.5  # a frame 20 dB under the peak weighs a tenth
_MEMORY_FRAMES = 1000.0  # forgetting: 10 s of frames at peak level
_PRIOR_FRAMES = 50.0  # the prior colour counts like half a second at peak level
# What comes first may be a breath: for some seconds the usual level of speech has a say, too.
_EXPECTED_LEVEL = -30.0 * NAT_PER_DB
_EXPECTED_FRAMES, _EXPECTED_FOR = 4.0, 200.0
_SCALE = 2.2  # nat; standard deviation of the normalised bands over the training speech
# Long-term average spectrum of speech relative to its weighted level, nat, at these frequencies.
_SHAPE_HZ = (50.0, 120.0, 250.0, 500.0, 1000.0, 2000.0, 3500.0, 5500.0, 7600.0)
_SHAPE_NAT = (-0.3, 0.8, 0.4, -1.2, -4.6, -5.2, -6.3, -8.3, -9.5)


def mel_centres() -> np.ndarray:
    """Centre frequencies of the bands: ``[80]`` float64, Hz."""
    return _mel_edges()[1:-1]


def _mel_edges() -> np.ndarray:
    """``[82]`` Hz, evenly spaced on the HTK mel scale, 50–7600 Hz."""
    low, high = 2595.0 * np.log10(1.0 + np.array([F_MIN, F_MAX]) / 700.0)
    return 700.0 * (10.0 ** (np.linspace(low, high, N_MELS + 2) / 2595.0) - 1.0)


@lru_cache(maxsize=1)
def _filterbank() -> np.ndarray:
    """Triangular filters of unit sum: ``[80, 513]`` float64; the mean power of each band."""
    edges = _mel_edges()
    hertz = np.arange(N_FFT // 2 + 1) * (SAMPLE_RATE / N_FFT)
    rise = (hertz[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - hertz[None]) / (edges[2:] - edges[1:-1])[:, None]
    weights = np.maximum(0.0, np.minimum(rise, fall))
    return weights / weights.sum(1, keepdims=True)


@lru_cache(maxsize=1)
def _window() -> np.ndarray:
    """Hann window ``[400]`` scaled so that white noise keeps its mean square per band."""
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)
    return window / np.sqrt((window**2).sum())


class LogMelStream:
    """Samples in, log-mel frames out, in pieces of any size, in bounded memory."""

    def __init__(self) -> None:
        # Half a window of silence in front centres frame 0 on sample 0.
        self._tail = np.zeros(WINDOW // 2, np.float64)
        self._finished = False

    def push(self, pcm: np.ndarray) -> np.ndarray:
        """Take the next samples, return the frames that they complete.

        Args:
            pcm: ``[n]`` mono samples at 16 kHz, full scale 1.0.

        Returns:
            ``[k, 80]`` float64, natural log of band power; 0 is a full-scale mean square.

        Raises:
            InputError: samples that are not one channel or not finite.
        """
        if pcm.ndim != 1:
            raise InputError(f"speech features need one channel of samples, got {pcm.shape}")
        if not np.isfinite(pcm).all():
            raise InputError("the audio holds samples that are not numbers")
        out = []
        # A block may be a whole hour: slices of 10 s keep the memory of the frames small.
        for start in range(0, len(pcm), 10 * SAMPLE_RATE):
            out.append(self._frames(pcm[start : start + 10 * SAMPLE_RATE]))
        return np.concatenate(out) if out else np.zeros((0, N_MELS))

    def finish(self) -> np.ndarray:
        """Frames whose window reaches past the last sample (silence follows): ``[k, 80]``."""
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
    """Takes level and colour of the recording out of log-mel frames, causally but for 80 ms.

    The level is a mean of frame energies weighted by energy itself, so pauses hardly count and a
    loud onset takes over at once; the colour (mean spectrum relative to the level) starts at the
    long-term average of speech and moves to the recording's own. After the first seconds, in which
    soft sounds are held against the usual level of speech, scaling the audio changes nothing.
    """

    def __init__(self) -> None:
        self._pending = np.zeros((0, N_MELS))
        # Frames seen, peak, and the weighted sums of weight, level and shape.
        self._sums = np.zeros(4 + N_MELS)
        self._sums[1] = LOG_EPS
        self._prior = np.interp(mel_centres(), _SHAPE_HZ, _SHAPE_NAT)

    def push(self, log_mel: np.ndarray) -> np.ndarray:
        """Take the next raw frames ``[k, 80]``, return normalised ones, 8 frames behind.

        Returns:
            ``[m, 80]`` float32, about zero mean and unit deviation while somebody speaks.
        """
        frames = np.concatenate([self._pending, np.asarray(log_mel, np.float64)])
        out = normalise_frames(
            frames, len(self._pending), NORMALISER_DELAY, self._sums, self._prior
        )
        self._pending = frames[len(out) :]
        return out

    def finish(self) -> np.ndarray:
        """The last frames, with the statistics as they stand: ``[m, 80]`` float32."""
        out = normalise_frames(self._pending, len(self._pending), 0, self._sums, self._prior)
        self._pending = self._pending[len(self._pending) :]
        return out


@njit(cache=True)
def normalise_frames(
    frames: np.ndarray, seen: int, delay: int, sums: np.ndarray, prior: np.ndarray
) -> np.ndarray:
    """Observe the frames after the first ``seen`` and normalise all that are ``delay`` old.

    The statistics of a frame are those of ``delay`` frames later; after the end, the last ones.
    ``frames`` ``[k, 80]`` is floored and ``sums`` ``[84]`` brought forward in place.

    Returns:
        ``[max(k - delay, 0), 80]`` float32; all ``k`` when there is nothing left to observe.
    """
    count, bands = frames.shape
    out = np.zeros((max(count - delay, 0), bands), np.float32)
    for index in range(seen, count + (delay == 0)):
        if index < count:
            _observe(frames[index], sums)
            first, last = index - delay, index - delay + 1
        else:
            first, last = 0, count
        for row in range(max(first, 0), last):
            expected = _EXPECTED_FRAMES * np.exp(
                _WEIGHT_POWER * (_EXPECTED_LEVEL - sums[1]) - sums[0] / _EXPECTED_FOR
            )
            level = (sums[3] + expected * _EXPECTED_LEVEL) / (sums[2] + expected)
            weight = sums[2] + _PRIOR_FRAMES
            for band in range(bands):
                shape = (sums[4 + band] + _PRIOR_FRAMES * prior[band]) / weight
                out[row, band] = (frames[row, band] - level - shape) / _SCALE
    return out


@njit(cache=True)
def _observe(frame: np.ndarray, sums: np.ndarray) -> None:
    """One frame ``[80]`` into the sums; what lies 78 dB under the peak is raised to that floor."""
    highest = frame.max()
    total = 0.0
    for band in range(len(frame)):
        total += np.exp(frame[band] - highest)
    energy = highest + np.log(total / len(frame))
    peak = max(energy, sums[1] - _PEAK_DECAY)
    weight = np.exp(_WEIGHT_POWER * (energy - peak))
    keep = np.exp(_WEIGHT_POWER * (sums[1] - peak)) * (1.0 - weight / _MEMORY_FRAMES)
    sums[0] += 1.0
    sums[1] = peak
    sums[2] = sums[2] * keep + weight
    sums[3] = sums[3] * keep + weight * energy
    floor = peak - FLOOR_DB * NAT_PER_DB
    for band in range(len(frame)):
        frame[band] = max(frame[band], floor)
        sums[4 + band] = sums[4 + band] * keep + weight * (frame[band] - energy)


def frame_energy(log_mel: np.ndarray) -> np.ndarray:
    """Log of the mean band power: ``[..., 80]`` to ``[...]``, natural log."""
    peak = log_mel.max(-1)
    return peak + np.log(np.exp(log_mel - peak[..., None]).mean(-1))


def speech_features(pcm: np.ndarray) -> np.ndarray:
    """Normalised features of a whole recording: ``[n]`` samples to ``[1 + n // 160, 80]``."""
    mel, norm = LogMelStream(), LevelNormaliser()
    raw = np.concatenate([mel.push(pcm), mel.finish()])
    return np.concatenate([norm.push(raw), norm.finish()])
