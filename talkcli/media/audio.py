"""Sound: exact durations, and any recording as a stream of mono float blocks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

from talkcli.errors import InputError
from talkcli.media.identify import describe
from talkcli.media.read import decode_packets, open_media

_log = logging.getLogger(__name__)

#: Longest AAC frame (HE-AAC), in samples: how much padding an MP4 may carry at its end.
_MAX_PADDING = 2048


@dataclass(frozen=True)
class AudioInfo:
    """A sound track, measured by decoding all of it.

    Attributes:
        duration_s: decoded samples over sample rate, without the padding that codecs add.
        sample_rate: Hz, of the first frame.
        channels: of the first frame.
        start_s: when the sound begins, seconds from the first moment of the file; not 0 in films
            whose picture starts earlier.
    """

    duration_s: float
    sample_rate: int
    channels: int
    start_s: float


def probe_audio(path: str | Path) -> AudioInfo:
    """Measure the sound of a recording or film by decoding it (300–1000 times real time).

    Raises:
        InputError: no sound in it, or not a media file.
    """
    with _open_sound(path) as (container, stream):
        tally = _Tally()
        for frame in _decode(container, stream):
            tally.add(frame)
        return AudioInfo(
            duration_s=float(tally.seconds(container, stream, path)),
            sample_rate=tally.first_rate,
            channels=tally.first_channels,
            start_s=_start(container, stream),
        )


def probe_format(path: str | Path) -> tuple[int, int]:
    """Sample rate in Hz and channels as the header states them, without decoding.

    Raises:
        InputError: no sound in it, or not a media file.
    """
    with _open_sound(path) as (_, stream):
        # A damaged header may say 0; the decoder then finds out by itself.
        return stream.sample_rate or 48000, stream.channels or 1


def stream_pcm(path: str | Path, rate: int = 16000, block_s: float = 1.0) -> Iterator[np.ndarray]:
    """Decode the sound of a recording or film as mono blocks, in constant memory.

    A stereo pair is averaged; of surround sound the centre enters at -3 dB and the pairs at half
    of their stereo downmix. Together the blocks hold ``round(duration_s * rate)`` samples, with
    the ``duration_s`` of :func:`probe_audio`. Silence is legal.

    Args:
        path: anything libav decodes; of several tracks the first.
        rate: samples per second of the output.
        block_s: length of a block in seconds.

    Yields:
        ``[round(block_s * rate)]`` float32 within about -1..1; the last block may be shorter.

    Raises:
        InputError: no sound in it, or not a media file.
    """
    size = max(1, round(block_s * rate))
    with _open_sound(path) as (container, stream):
        tally = _Tally()
        blocks = _Blocks(size, reserve=-(-_MAX_PADDING * rate // 8000))
        mixer = _Mixer(rate)
        for frame in _decode(container, stream):
            tally.add(frame)
            for samples in mixer.mix(frame):
                yield from blocks.add(samples)
        for samples in mixer.flush():
            yield from blocks.add(samples)
        yield from blocks.finish(round(tally.seconds(container, stream, path) * rate))


@dataclass
class _Tally:
    """Counts decoded samples; the rate may change within a file (chained Ogg)."""

    samples: dict[int, int] = field(default_factory=dict)
    first_rate: int = 0
    first_channels: int = 0

    def add(self, frame: AudioFrame) -> None:
        if not self.samples:
            self.first_rate = frame.sample_rate
            self.first_channels = frame.layout.nb_channels
        self.samples[frame.sample_rate] = self.samples.get(frame.sample_rate, 0) + frame.samples

    def seconds(self, container: InputContainer, stream: AudioStream, path: str | Path) -> Fraction:
        """Duration without codec padding.

        MP4 states the true end in its edit list, which libav before 9 does not apply to the last
        packet: 12–13 ms of AAC padding would be left. Elsewhere the decoded count stands.
        """
        counted = sum((Fraction(n, rate) for rate, n in self.samples.items()), Fraction(0))
        if not counted:
            raise InputError(
                f"{path} holds no sound that can be decoded", "export it again as .wav or .mp3"
            )
        if "mp4" in container.format.name.split(",") and stream.duration:
            stated = stream.duration * Fraction(stream.time_base or 0)
            if 0 < counted - stated < Fraction(_MAX_PADDING, self.first_rate):
                return stated
        return counted


class _Mixer:
    """Resamples to mono at one rate, whatever the frames' own formats."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._format: tuple[int, str, str] | None = None
        self._resampler: AudioResampler | None = None

    def mix(self, frame: AudioFrame) -> Iterator[np.ndarray]:
        own = (frame.sample_rate, frame.layout.name, frame.format.name)
        if own != self._format:
            yield from self.flush()
            self._format = own
            # Mono from stereo is averaged here: libav would sum float channels at -3 dB each,
            # 3 dB louder than the same speech recorded in mono.
            layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
            self._resampler = AudioResampler(format="fltp", layout=layout, rate=self._rate)
        assert self._resampler is not None
        # Samples are counted, not timed: gaps between time stamps must not become silence here
        # while the encoder, which is fed the same count, has none.
        frame.pts = None
        yield from map(_samples, self._resampler.resample(frame))

    def flush(self) -> Iterator[np.ndarray]:
        if self._resampler is not None:
            yield from map(_samples, self._resampler.resample(None))
            self._resampler = None


class _Blocks:
    """Cuts a stream into equal blocks, holding back a reserve so that its end can be trimmed."""

    def __init__(self, size: int, reserve: int) -> None:
        self._size = size
        self._reserve = reserve
        self._parts: list[np.ndarray] = []
        self._held = 0
        self._given = 0

    def add(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        self._parts.append(samples)
        self._held += len(samples)
        if self._held >= self._size + self._reserve:
            yield from self._cut(self._held - self._reserve)

    def finish(self, total: int) -> Iterator[np.ndarray]:
        """Give the rest, trimmed or padded with silence so that ``total`` samples are given."""
        rest = total - self._given
        if rest > self._held:
            self._parts.append(np.zeros(rest - self._held, np.float32))
            self._held = rest
        yield from self._cut(rest)
        if total > self._given:
            yield np.concatenate(self._parts)[: total - self._given]

    def _cut(self, available: int) -> Iterator[np.ndarray]:
        """Give whole blocks out of the first ``available`` samples."""
        n_blocks = available // self._size
        if n_blocks < 1:
            return
        held = np.concatenate(self._parts)
        for i in range(n_blocks):
            yield held[i * self._size : (i + 1) * self._size].copy()
        used = n_blocks * self._size
        self._parts, self._held = [held[used:]], self._held - used
        self._given += used


@contextmanager
def _open_sound(path: str | Path) -> Iterator[tuple[InputContainer, AudioStream]]:
    """Open a file and its first sound track.

    Raises:
        InputError: there is none.
    """
    with open_media(path, "a sound recording") as container:
        if not container.streams.audio:
            kind = describe(Path(path))
            fix = {
                "a video": "give a recording of speech, or a video with sound",
                "a picture": "the portrait comes first, the speech second",
            }.get(kind, "give a recording such as .wav or .mp3")
            raise InputError(f"{path} has no sound in it: it is {kind}", fix)
        yield container, container.streams.audio[0]


def _decode(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """Yield the frames that can be decoded; damaged packets are left out and counted."""
    skipped = 0
    for frame in decode_packets(container, stream):
        if frame is None:
            skipped += 1
        else:
            yield frame
    if skipped:
        _log.warning("%s: %d damaged pieces of sound were left out", container.name, skipped)


def _start(container: InputContainer, stream: AudioStream) -> float:
    if stream.start_time is None or container.start_time is None:
        return 0.0
    own = float(stream.start_time * Fraction(stream.time_base or 0))
    return max(0.0, own - container.start_time / av.time_base)


def _samples(frame: AudioFrame) -> np.ndarray:
    # Float recordings may hold NaN or infinities, which would spread through every feature.
    channels = np.nan_to_num(frame.to_ndarray(), nan=0.0, posinf=0.0, neginf=0.0)  # [C, n]
    mono: np.ndarray = channels.mean(0, dtype=np.float32)
    return mono
