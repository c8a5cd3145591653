"""When somebody speaks: a gate between 0 (mouth shut) and 1 that lips are multiplied with.

Per mel band a noise floor follows the quietest moments of the last three seconds, so a steady
background of any level or colour, hum included, does not count. What rises above it counts as
speech unless it lies far below the loudest recent speech (breath, rooms that ring on) or lasts a
few hundredths of a second (clicks). The gate opens before the first sound, since lips do too.
"""

from __future__ import annotations

import numpy as np

from talkcli.speech.features import FRAME_RATE, NAT_PER_DB, mel_centres

# Bands that decide, averaged by fours: single ones fluctuate by 5 dB in steady noise. Below 150 Hz
# lies hum, above 5.5 kHz narrow-band recordings hold nothing.
_LOW_HZ, _HIGH_HZ, _POOL = 150.0, 5500.0, 4
_SMOOTH = 5  # frames that the spectrum is averaged over
_SETTLE = 7  # frames after digital silence, until window and average have left it behind
_LONG_SILENCE = 15  # frames of digital silence that are more than a decoder's padding
_UNKNOWN, _SILENCE, _SOUND = 0, 1, 2
_BLOCK, _BLOCKS = 50, 6  # the floor is the minimum over 6 blocks of half a second
_MARGIN = 4.0 * NAT_PER_DB  # above the floor, before a band counts at all
_FULL = 12.0 * NAT_PER_DB  # above the margin, at which a band counts fully
# Mean count of the bands that begins and ends speech. With these a tenth of the speech is lost in
# pink noise at 5 dB, 2 % at 10 dB, and minutes of steady noise of any colour open nothing.
_ON, _OFF = 0.20, 0.10
_BELOW_PEAK = 27.0 * NAT_PER_DB
_PEAK_DECAY = 1.5 * NAT_PER_DB / FRAME_RATE  # 1.5 dB per second
_ABSOLUTE = -88.0 * NAT_PER_DB  # rounding noise of 16-bit files lies at -98 dB
# At the very start the floor is unknown. What moves by more than 3 dB and is as loud as speech
# usually is gets a floor below all that was heard; anything else is taken for noise.
_START_FRAMES, _STEADY, _START_DROP = 100, 3.0 * NAT_PER_DB, 10.0 * NAT_PER_DB
_SOFT, _LOUD = -55.0 * NAT_PER_DB, -40.0 * NAT_PER_DB

_SHORTEST = 9  # frames; a click of 10 ms fills 8 after window and average
_BEFORE, _AFTER = 12, 12  # frames that the mouth is free before and after sound
_RAMP = 5  # frames on either side over which the gate moves
#: Frames of 10 ms by which the gate lags its input.
DELAY = _SMOOTH // 2 + (_SHORTEST - 1) + _BEFORE + _RAMP


class VoiceGate:
    """Raw log-mel frames in, gate values out, 27 frames behind; any block size gives the same."""

    def __init__(self) -> None:
        hertz = mel_centres()
        self._bands = np.flatnonzero((hertz > _LOW_HZ) & (hertz < _HIGH_HZ))
        self._bands = self._bands[: len(self._bands) // _POOL * _POOL]
        count = len(self._bands) // _POOL
        # Frame 0 stands in for the frames before it.
        self._recent: np.ndarray | None = None
        self._minima = np.full((_BLOCKS, count), np.inf)
        self._lowest = np.full(count, np.inf)
        self._seen = self._heard = 0
        self._states = np.full(_LONG_SILENCE, _UNKNOWN)
        self._speaking = False
        self._peak = _ABSOLUTE
        self._quietest, self._loudest = np.inf, -np.inf
        # Silence before the start lets the first decision come out at the right time.
        self._decisions = np.zeros((_SHORTEST - 1) + _AFTER + _RAMP, bool)
        self._skip = _SMOOTH // 2

    def push(self, log_mel: np.ndarray) -> np.ndarray:
        """Take ``[k, 80]`` raw log-mel frames, return ``[m]`` gate values, 0–1."""
        if not len(log_mel):
            return np.zeros(0)
        decided = self._decide(self._smoothed(log_mel))
        skipped = min(self._skip, len(decided))
        self._skip -= skipped
        return self._shape(decided[skipped:])

    def finish(self) -> np.ndarray:
        """Gate values of the last frames: silence follows."""
        return self._shape(np.zeros(DELAY, bool))

    def _smoothed(self, log_mel: np.ndarray) -> np.ndarray:
        """Mean power over 4 bands and the last 5 frames: ``[k, 80]`` to ``[k, bands]``."""
        power = np.exp(log_mel[:, self._bands]).reshape(len(log_mel), -1, _POOL).mean(-1)
        if self._recent is None:
            self._recent = np.repeat(power[:1], _SMOOTH - 1, axis=0)
        power = np.concatenate([self._recent, power])
        self._recent = power[1 - _SMOOTH :]
        return np.lib.stride_tricks.sliding_window_view(power, _SMOOTH, axis=0).mean(-1)

    def _decide(self, power: np.ndarray) -> np.ndarray:
        """Whether the frame two back of each holds speech: ``[k]`` bool."""
        level = np.log(power)
        floor = np.minimum(self._floor(level), level)
        excess = np.clip((level - floor - _MARGIN) / _FULL, 0.0, 1.0).mean(1)
        # Only what stands 3 dB above the floor is compared with the peak, or the small changes of
        # a loud hum would drown the pauses.
        energy = np.log(np.maximum(power - 2.0 * np.exp(floor), 0.0).mean(1) + 1e-30)
        decided = np.zeros(len(power), bool)
        for k, (count, loudness) in enumerate(zip(excess.tolist(), energy.tolist(), strict=True)):
            self._speaking = count > (_OFF if self._speaking else _ON) and loudness > max(
                self._peak - _BELOW_PEAK, _ABSOLUTE
            )
            self._peak -= _PEAK_DECAY
            if self._speaking:
                self._peak = max(self._peak, loudness)
            decided[k] = self._speaking
        return decided

    def _floor(self, level: np.ndarray) -> np.ndarray:
        """Noise floor under each frame: ``[k, bands]`` log power.

        Digital silence is no noise: a file that begins with some, as decoders make it, must not
        have its room noise taken for speech. Nor are the frames that reach into it. Only where
        silence lasts does it count, so that synthetic speech is heard at once.
        """
        states = np.where(level.mean(1) > _ABSOLUTE, _SOUND, _SILENCE)
        states = np.concatenate([self._states, states])
        self._states = states[-_LONG_SILENCE:]
        last = np.lib.stride_tricks.sliding_window_view(states, _LONG_SILENCE + 1)
        heard = (last[:, -_SETTLE - 1 :] == _SOUND).all(1)
        silent = (last[:, 1:] == _SILENCE).all(1)
        candidates = np.where(silent[:, None], np.maximum(level, _ABSOLUTE), np.inf)
        candidates[heard] = level[heard]
        floors = []
        start = 0
        while start < len(level):
            part = candidates[start : start + _BLOCK - self._seen % _BLOCK]
            running = np.minimum.accumulate(np.concatenate([self._lowest[None], part]))[1:]
            floors.append(np.minimum(running, self._minima.min(0)))
            self._lowest = running[-1]
            self._seen += len(part)
            if self._seen % _BLOCK == 0:
                self._minima = np.concatenate([self._minima[1:], self._lowest[None]])
                self._lowest = np.full_like(self._lowest, np.inf)
            start += len(part)
        return np.concatenate(floors) - self._start_drop(level.mean(1), heard)[:, None]

    def _start_drop(self, level: np.ndarray, heard: np.ndarray) -> np.ndarray:
        """How far below all that was heard the floor may lie, in the first second: ``[k]``."""
        if self._heard >= _START_FRAMES:
            return np.zeros(len(level))
        count = self._heard + np.cumsum(heard)
        low = np.minimum.accumulate(np.append(self._quietest, np.where(heard, level, np.inf)))[1:]
        high = np.maximum.accumulate(np.append(self._loudest, np.where(heard, level, -np.inf)))[1:]
        self._heard, self._quietest, self._loudest = int(count[-1]), low[-1], high[-1]
        loud = np.clip((high - _SOFT) / (_LOUD - _SOFT), 0.0, 1.0)
        drop = loud * np.clip(high - low - _STEADY, 0.0, _START_DROP)
        return np.where((count > 0) & (count < _START_FRAMES), drop, 0.0)

    def _shape(self, decided: np.ndarray) -> np.ndarray:
        """Drop bursts, lead and hold, ramp: a fixed window over the decisions."""
        raw = np.concatenate([self._decisions, decided])
        lasting = _spread(_shrink(raw, _SHORTEST), _SHORTEST)
        free = _spread(lasting, _BEFORE + 1 + _AFTER)
        ramp = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(2 * _RAMP + 1) + 1) / (2 * _RAMP + 2))
        width = len(ramp)
        if len(free) < width:
            self._decisions = raw
            return np.zeros(0)
        gate = np.lib.stride_tricks.sliding_window_view(free, width) @ (ramp / ramp.sum())
        self._decisions = raw[len(gate) :]
        return gate


def _shrink(values: np.ndarray, width: int) -> np.ndarray:
    """Where ``width`` values in a row are all true; ``width - 1`` shorter than the input."""
    if len(values) < width:
        return np.zeros(0, bool)
    return np.lib.stride_tricks.sliding_window_view(values, width).all(1)


def _spread(values: np.ndarray, width: int) -> np.ndarray:
    """Where any of ``width`` values in a row is true; ``width - 1`` shorter than the input."""
    if len(values) < width:
        return np.zeros(0, bool)
    return np.lib.stride_tricks.sliding_window_view(values, width).any(1)
