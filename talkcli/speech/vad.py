"""Voice activity: a gate from 0 (mouth shut) to 1 by which the lips are multiplied.

In each mel band a noise floor follows the quietest moments of the last three seconds, so a steady
background of any level or spectrum, including hum, is ignored. Whatever rises above it counts as
speech unless it is far below the loudest recent speech (breath, reverberation) or lasts only a few
hundredths of a second (clicks). The gate opens before the first sound, as lips do.
"""

from __future__ import annotations

import numpy as np

from talkcli.shapes import Float
from talkcli.speech.features import FRAME_RATE, NAT_PER_DB, mel_centres

# The bands used, averaged in fours: single ones fluctuate by 5 dB in steady noise. Below 150 Hz
# there is hum; above 5.5 kHz narrow-band recordings contain nothing.
_LOW_HZ, _HIGH_HZ, _POOL = 150.0, 5500.0, 4
_SMOOTH = 5  # frames over which the spectrum is averaged
_SETTLE = 7  # frames after digital silence until window and average no longer touch it
_LONG_SILENCE = 15  # frames of digital silence; fewer may be a decoder's padding
_UNKNOWN, _SILENCE, _SOUND = 0, 1, 2
_BLOCK, _BLOCKS = 50, 6  # the floor is the minimum over 6 blocks of half a second
_MARGIN = 4.0 * NAT_PER_DB  # above the floor, where a band begins to count
_FULL = 12.0 * NAT_PER_DB  # above the margin, where a band counts fully
# Mean over the bands at which speech begins and ends. With these a tenth of the speech is lost in
# pink noise at 5 dB, 2 % at 10 dB, and minutes of steady noise of any spectrum open nothing.
_ON, _OFF = 0.20, 0.10
_BELOW_PEAK = 27.0 * NAT_PER_DB
_PEAK_DECAY = 1.5 * NAT_PER_DB / FRAME_RATE  # 1.5 dB per second
_ABSOLUTE = -88.0 * NAT_PER_DB  # the rounding noise of 16-bit files is at -98 dB
# At the very start the floor is unknown. If the level varies by more than 3 dB and is as high as
# speech usually is, the floor is put below everything so far; otherwise it is taken for noise.
_START_FRAMES, _STEADY, _START_DROP = 100, 3.0 * NAT_PER_DB, 10.0 * NAT_PER_DB
_SOFT, _LOUD = -55.0 * NAT_PER_DB, -40.0 * NAT_PER_DB

_SHORTEST = 9  # frames; window and average spread a click of 10 ms over 8
_BEFORE, _AFTER = 12, 12  # frames by which the gate is open before and after sound
_RAMP = 5  # frames on either side over which the gate opens or closes
#: Frames of 10 ms by which the gate lags its input.
DELAY = _SMOOTH // 2 + (_SHORTEST - 1) + _BEFORE + _RAMP


class VoiceGate:
    """Turns raw log-mel frames into gate values, 27 frames behind.

    Block sizes do not affect the result.
    """

    def __init__(self) -> None:
        hertz = mel_centres()
        self._bands = np.flatnonzero((hertz > _LOW_HZ) & (hertz < _HIGH_HZ))
        self._bands = self._bands[: len(self._bands) // _POOL * _POOL]
        count = len(self._bands) // _POOL
        # Frame 0 stands in for the frames before it.
        self._recent: np.ndarray | None = None
        self._minima = np.full((_BLOCKS, count), np.inf)
        self._lowest = np.full(count, np.inf)
        self._seen = self._settled = 0
        self._states = np.full(_LONG_SILENCE, _UNKNOWN)
        self._speaking = False
        self._peak = _ABSOLUTE
        self._quietest, self._loudest = np.inf, -np.inf
        # Silence before the start aligns the first decision.
        self._decisions = np.zeros((_SHORTEST - 1) + _AFTER + _RAMP, bool)
        self._skip = _SMOOTH // 2

    def push(self, log_mel: Float[np.ndarray, "new 80"]) -> Float[np.ndarray, " frames"]:
        """Take raw log-mel frames and return the gate values they complete, 0–1."""
        if not len(log_mel):
            return np.zeros(0)
        decided = self._decide(self._smoothed(log_mel))
        skipped = min(self._skip, len(decided))
        self._skip -= skipped
        return self._shape(decided[skipped:])

    def finish(self) -> Float[np.ndarray, " frames"]:
        """Gate values of the last frames, followed by silence."""
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
        """``[k]`` bool: whether the frame two before each one contains speech."""
        level = np.log(power)
        floor = np.minimum(self._floor(level), level)
        excess = np.clip((level - floor - _MARGIN) / _FULL, 0.0, 1.0).mean(1)
        # Only power 3 dB above the floor is compared with the peak; otherwise small changes of a
        # loud hum would fill the pauses.
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

        Digital silence, and frames that overlap it, are not used: after the padding of a decoder,
        room noise would be taken for speech. Only lasting silence counts, so that synthetic speech
        opens the gate at once.
        """
        states = np.where(level.mean(1) > _ABSOLUTE, _SOUND, _SILENCE)
        states = np.concatenate([self._states, states])
        self._states = states[-_LONG_SILENCE:]
        last = np.lib.stride_tricks.sliding_window_view(states, _LONG_SILENCE + 1)
        settled = (last[:, -_SETTLE - 1 :] == _SOUND).all(1)
        silent = (last[:, 1:] == _SILENCE).all(1)
        candidates = np.where(silent[:, None], np.maximum(level, _ABSOLUTE), np.inf)
        candidates[settled] = level[settled]
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
        return np.concatenate(floors) - self._start_drop(level.mean(1), settled)[:, None]

    def _start_drop(self, level: np.ndarray, settled: np.ndarray) -> np.ndarray:
        """``[k]`` how far below everything so far the floor is put, in the first second."""
        if self._settled >= _START_FRAMES:
            return np.zeros(len(level))
        count = self._settled + np.cumsum(settled)
        low = np.minimum.accumulate(np.append(self._quietest, np.where(settled, level, np.inf)))[1:]
        high = np.maximum.accumulate(np.append(self._loudest, np.where(settled, level, -np.inf)))[
            1:
        ]
        self._settled, self._quietest, self._loudest = int(count[-1]), low[-1], high[-1]
        loud = np.clip((high - _SOFT) / (_LOUD - _SOFT), 0.0, 1.0)
        drop = loud * np.clip(high - low - _STEADY, 0.0, _START_DROP)
        return np.where((count > 0) & (count < _START_FRAMES), drop, 0.0)

    def _shape(self, decided: np.ndarray) -> np.ndarray:
        """Gate from decisions: drop bursts, extend to both sides, add ramps."""
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
    """Where ``width`` consecutive values are all true; ``width - 1`` shorter than the input."""
    if len(values) < width:
        return np.zeros(0, bool)
    return np.lib.stride_tricks.sliding_window_view(values, width).all(1)


def _spread(values: np.ndarray, width: int) -> np.ndarray:
    """Where any of ``width`` consecutive values is true; ``width - 1`` shorter than the input."""
    if len(values) < width:
        return np.zeros(0, bool)
    return np.lib.stride_tricks.sliding_window_view(values, width).any(1)
