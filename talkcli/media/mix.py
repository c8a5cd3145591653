"""Converts decoded sound of any layout to mono or stereo at one rate, in equal blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

#: Samples of float recordings beyond this many times full scale (+36 dB) are damage, like NaN.
#: Kept, a single 1e20 would make everything else look silent, and it stops the AAC encoder.
_LOUDEST = 64.0

#: The average of all channels counts as cancelled when its power is below this share of the
#: loudest channel's (-17 dB). Sound in one channel of two averages to a share of 0.25, an
#: inverted copy at 0.9 of the level to 0.0025.
_CANCELLED = 0.02
#: Seconds over which the powers are compared: words decide, not single sounds.
_MEMORY_S = 10.0

#: Numbers of unlabelled channels that are taken for surround sound, as players do: 5.1 and 7.1.
#: Any other number beyond two is a row of microphones, which a surround matrix would misread.
_UNLABELLED_SURROUND = (6, 8)

#: Samples over which the gain of a downmix falls: short enough to clip no syllable.
_RAMP = 64

#: From this number of channels on PyAV reads beyond the end of its table of planes; such frames
#: are interleaved first.
_PLANES = 8

#: Value of full scale, and the offset, by sample format.
_SCALE = {"u8": (128.0, 128.0), "s16": (32768.0, 0.0), "s32": (2.0**31, 0.0), "s64": (2.0**63, 0.0)}


class Mixer:
    """Turns decoded frames of any rate, format and layout into mono or stereo at one rate.

    A stereo pair is kept, or averaged for mono. Surround sound is mixed down as libav does it
    (the centre at -3 dB) and turned down where the sum exceeds full scale. Channels without known
    places are averaged. Where an average cancels (antiphase), the loudest channel replaces it.

    Args:
        rate: of the output, Hz.
        channels: of the output, 1 or 2.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._rate, self._channels = rate, channels
        self._format: tuple[int, str, str] | None = None
        self._resampler: AudioResampler | None = None
        self._surround = self._averaged = False
        self._average_input = _Average(rate)
        self._average_output = _Average(rate)
        self._headroom = _Headroom()

    def mix(self, frame: AudioFrame) -> Iterator[np.ndarray]:
        """Convert a frame; yields ``[channels, n]`` float32, delayed by the resampling filter."""
        own = (frame.sample_rate, frame.layout.name, frame.format.name)
        if own != self._format:
            yield from self.flush()
            self._format = own
            count = frame.layout.nb_channels
            self._averaged = not has_downmix(frame.layout.name, count)
            self._surround = count > 2 and not self._averaged
            # Mono from stereo is averaged here: libav would sum float channels at -3 dB each,
            # 3 dB louder than the same speech recorded in mono.
            layout = "mono" if count == 1 or self._averaged else "stereo"
            self._resampler = AudioResampler(format="fltp", layout=layout, rate=self._rate)
        assert self._resampler is not None
        if self._averaged:
            frame = _frame_of(self._average_input(_planar(frame)), "mono", frame.sample_rate)
        yield from self._shape(self._resampler.resample(frame))

    def flush(self) -> Iterator[np.ndarray]:
        """Yield what is left in the filter."""
        if self._resampler is not None:
            yield from self._shape(self._resampler.resample(None))
            self._resampler = None

    def _shape(self, mixed: list[AudioFrame]) -> Iterator[np.ndarray]:
        for frame in mixed:
            samples = frame.to_ndarray()
            if self._surround:
                samples = self._headroom(samples)
            if self._channels == 1:
                yield self._average_output(samples)[None]
            else:
                yield np.broadcast_to(samples, (2, samples.shape[1]))


class Blocks:
    """Cuts a stream of ``[C, n]`` arrays into equal blocks, and trims or pads its end.

    Args:
        size: samples of a block.
        reserve: samples held back so that the end can be trimmed once it is known.
        limit: samples after which the stream ends, where that is known from the start.
    """

    def __init__(self, size: int, reserve: int, limit: int | None) -> None:
        self._size = size
        self._reserve = reserve
        self._limit = limit
        self._parts: list[np.ndarray] = []
        self._held = 0
        self._given = 0

    @property
    def full(self) -> bool:
        """Whether everything up to the limit has been added."""
        return self._limit is not None and self._given + self._held >= self._limit

    def add(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        """Add ``[C, n]`` samples; yields the blocks that are complete."""
        self._parts.append(samples)
        self._held += samples.shape[1]
        available = self._held - self._reserve
        if self._limit is not None:
            available = min(available, self._limit - self._given)
        if available >= self._size:
            yield from self._cut(available)

    def finish(self, total: int, channels: int) -> Iterator[np.ndarray]:
        """Yield the rest, trimmed or padded with silence so that ``total`` samples are given."""
        rest = total - self._given
        if rest > self._held:
            self._parts.append(np.zeros((channels, rest - self._held), np.float32))
            self._held = rest
        yield from self._cut(rest)
        if total > self._given:
            yield np.concatenate(self._parts, 1)[:, : total - self._given]

    def _cut(self, available: int) -> Iterator[np.ndarray]:
        """Yield whole blocks out of the first ``available`` samples."""
        n_blocks = available // self._size
        if n_blocks < 1:
            return
        held = np.concatenate(self._parts, 1)
        used = n_blocks * self._size
        self._parts, self._held = [held[:, used:]], self._held - used
        self._given += used
        for i in range(n_blocks):
            yield held[:, i * self._size : (i + 1) * self._size].copy()


class Cleaner:
    """Prepares decoded frames for any number of mixers.

    Attributes:
        silenced: samples set to 0 so far because they were not finite or far above full scale.
    """

    def __init__(self) -> None:
        self.silenced = 0
        self._packer: AudioResampler | None = None
        self._packed: tuple[int, str, str] | None = None

    def clean(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        """Yield the frame without its time stamp; a silenced copy if it holds damaged samples."""
        # Samples are counted, not timed: gaps between time stamps must not become silence here
        # while the encoder, which is fed the same count, has none.
        frame.pts = None
        kind = frame.format.name.rstrip("p")
        if frame.format.is_planar and frame.layout.nb_channels >= _PLANES:
            own = (frame.sample_rate, frame.layout.name, frame.format.name)
            if own != self._packed:
                self._packer, self._packed = AudioResampler(format=kind), own
            assert self._packer is not None
            frames = self._packer.resample(frame)
        else:
            frames = [frame]
        for each in frames:
            yield self._silence(each) if kind in ("flt", "dbl") else each

    def _silence(self, frame: AudioFrame) -> AudioFrame:
        samples = frame.to_ndarray()
        if samples.size == 0 or (samples.max() <= _LOUDEST and samples.min() >= -_LOUDEST):
            return frame
        bad = ~(np.abs(samples) <= _LOUDEST)
        self.silenced += int(bad.sum())
        samples[bad] = 0
        cleaned = AudioFrame.from_ndarray(samples, frame.format.name, frame.layout.name)
        cleaned.sample_rate = frame.sample_rate
        return cleaned


@lru_cache(maxsize=64)
def has_downmix(layout: str, channels: int) -> bool:
    """Whether libav knows where the channels of a layout belong and mixes them to mono or stereo.

    Args:
        layout: libav's name: "5.1", or "9 channels" where the file labels none.
        channels: their number.
    """
    if channels == 1:
        return layout in ("mono", "1 channels")
    if layout.endswith("channels"):
        return channels == 2 or channels in _UNLABELLED_SURROUND
    try:
        silence = _frame_of(np.zeros(channels * 1024, np.float32), layout, 48000)
        AudioResampler(format="fltp", layout="stereo", rate=48000).resample(silence)
    except (av.FFmpegError, ValueError):
        return False
    return True


class _Average:
    """Averages channels; while the average cancels out, follows the loudest one instead."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._powers = np.zeros(0)
        self._mixed = 0.0

    def __call__(self, channels: np.ndarray) -> np.ndarray:
        """``[C, n]`` to ``[n]`` float32."""
        mixed: np.ndarray = channels.mean(0, dtype=np.float32)
        if len(channels) == 1:
            return mixed
        if len(self._powers) != len(channels):
            self._powers, self._mixed = np.zeros(len(channels)), 0.0
        fade = math.exp(-len(mixed) / (_MEMORY_S * self._rate))
        self._powers = fade * self._powers + np.einsum("cn,cn->c", channels, channels)
        self._mixed = fade * self._mixed + float(np.dot(mixed, mixed))
        loudest = int(self._powers.argmax())
        if self._mixed < _CANCELLED * self._powers[loudest]:
            return channels[loudest].astype(np.float32)
        return mixed


class _Headroom:
    """Lowers the gain so that the loudest moment so far is at full scale; never raises it."""

    def __init__(self) -> None:
        self._gain: float | None = None

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """``[C, n]`` float32 within -1..1."""
        peak = float(np.abs(samples).max(initial=0.0))
        before = self._gain
        now = min(1.0 if before is None else before, 1 / max(peak, 1.0))
        self._gain = now
        if now == 1.0:
            return samples
        gain = np.full(samples.shape[1], now, np.float32)
        if before is not None and before != now:
            ramp = min(_RAMP, len(gain))
            gain[:ramp] = np.linspace(before, now, ramp, dtype=np.float32)
        quieter: np.ndarray = np.clip(samples * gain, -1, 1)
        return quieter


def _planar(frame: AudioFrame) -> np.ndarray:
    """``[C, n]`` float32, full scale at 1."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    scale, offset = _SCALE.get(frame.format.name.rstrip("p"), (1.0, 0.0))
    return ((samples.astype(np.float64) - offset) / scale).astype(np.float32)


def _frame_of(samples: np.ndarray, layout: str, rate: int) -> AudioFrame:
    """A frame of ``[n * C]`` float32, channels interleaved."""
    frame = AudioFrame.from_ndarray(samples[None], "flt", layout)
    frame.sample_rate = rate
    return frame
