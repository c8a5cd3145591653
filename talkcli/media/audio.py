"""Sound: a recording, or the sound of a clip, opened once, decoded once and read in blocks.

    with open_sound("speech.mp3") as sound:
        for block in sound.blocks(16000):      # mono, for the motion
            ...
        print(sound.duration_s)                # exact, known at the latest now

``blocks`` and ``track`` (stereo, for the encoder) may be iterated at the same time in separate
threads; the same decoder feeds both.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from talkcli.errors import InputError
from talkcli.media.mix import Blocks, Cleaner, Mixer, has_downmix
from talkcli.media.read import decode_packets
from talkcli.media.track import (
    MAX_PADDING,
    Tally,
    estimated_length,
    no_sound,
    open_track,
    start_of,
    stated_length,
)

_log = logging.getLogger(__name__)

#: Decoded sound that may wait for the slower of two readers, bytes: 3 minutes of stereo at 48 kHz.
#: A reader that falls further behind gets a decoder of its own.
_WAITING_BYTES = 64 << 20

#: Formats whose samples 16 bits hold.
_NARROW = ("u8", "s16")

#: Seconds in a block of :meth:`Sound.track`: small, so that little of it waits for the encoder.
_TRACK_BLOCK_S = 0.25


class Sound:
    """The sound of a recording or clip. Make it with :func:`open_sound`; ``with`` closes it.

    Its readers (:meth:`blocks`, :meth:`track`) share one decoder if all of them are created before
    the first is iterated; one created later decodes the file again. Each may be iterated in its
    own thread. All agree on the length to the sample.

    Attributes:
        path: the file.
        sample_rate: Hz, as the header states it.
        channels: as the header states them.
        bits: 16 where that many hold every sample as decoded, else 24.
        start_s: when the sound begins, seconds from the first moment of the file.
        exact_duration_s: length in seconds if the container states it exactly and the file is
            complete; None if only decoding can tell (MP3, Ogg, ADTS, Matroska, damaged files).
        estimated_duration_s: length in seconds for plans and progress bars; 0 when unknown.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._readers: weakref.WeakSet[_Reader] = weakref.WeakSet()
        self._seconds: Fraction | None = None
        self._started = False
        self._files = ExitStack()
        container, stream = self._files.enter_context(open_track(path))
        # A damaged header may say 0; the decoder then finds out by itself.
        self.sample_rate = stream.sample_rate or 48000
        self.channels = stream.channels or 1
        kind = stream.format.name if stream.format is not None else ""
        self.bits = 16 if kind.rstrip("p") in _NARROW else 24
        self.start_s = start_of(container, stream)
        self._downmix = has_downmix(stream.layout.name, self.channels)
        self._stated = stated_length(container, stream, self.path)
        self.exact_duration_s = None if self._stated is None else float(self._stated)
        self.estimated_duration_s = self.exact_duration_s or estimated_length(container, stream)
        self._shared = self._decode(container, stream)

    def __enter__(self) -> Sound:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Readers that have not finished then raise ValueError."""
        with self._lock:
            self._shared.close()
            self._files.close()

    @property
    def duration_s(self) -> float | None:
        """Exact length in seconds; None until it is known, at the latest when a reader ends."""
        seconds = self._stated if self._stated is not None else self._seconds
        return None if seconds is None else float(seconds)

    @property
    def track_channels(self) -> int:
        """Channels that :meth:`track` should be asked for, 1 or 2."""
        return 2 if self.channels > 1 and self._downmix else 1

    def check(self) -> None:
        """Decode the first frame, which its readers still get; before any of them is drawn from.

        Raises:
            InputError: nothing in it can be decoded.
        """
        with self._lock:
            first = next(self._shared, None)
            if first is None:
                raise no_sound(self.path)
            self._shared = _resumed(first, self._shared)

    def blocks(self, rate: int = 16000) -> Iterator[np.ndarray]:
        """Mono blocks, in constant memory; :func:`stream_pcm` says how they are mixed.

        Together they hold ``round(duration_s * rate)`` samples.

        Args:
            rate: samples per second of the output.

        Yields:
            ``[rate]`` float32, a second each; the last block may be shorter.

        Raises:
            InputError: nothing in it can be decoded.
        """
        reader = self._reader()
        return (block[0] for block in self._draw(reader, rate, 1, rate, None))

    def track(
        self, rate: int, channels: int, duration_s: float | None = None
    ) -> Iterator[np.ndarray]:
        """The sound for an encoder, in constant memory.

        Args:
            rate: samples per second of the output.
            channels: 1 or 2.
            duration_s: cut or padded with silence to this many seconds; None for all of it.

        Yields:
            ``[n, channels]`` float32, a quarter of a second each; the last may be shorter.

        Raises:
            InputError: nothing in it can be decoded.
        """
        reader = self._reader()
        total = None if duration_s is None else max(1, round(duration_s * rate))
        size = round(_TRACK_BLOCK_S * rate)
        return (block.T for block in self._draw(reader, rate, channels, size, total))

    def _reader(self) -> _Reader:
        reader = _Reader()
        with self._lock:
            if self._started:
                reader.own = self._decode_again(0)
            else:
                self._readers.add(reader)
        return reader

    def _draw(
        self, reader: _Reader, rate: int, channels: int, size: int, total: int | None
    ) -> Iterator[np.ndarray]:
        """``[channels, n]`` blocks out of the frames of one reader."""
        if total is None and self._stated is not None:
            total = round(self._stated * rate)
        blocks = Blocks(max(1, size), -(-MAX_PADDING * rate // 8000), total)
        mixer = Mixer(rate, channels)
        while not blocks.full and (frame := self._next(reader)) is not None:
            try:
                mixed = list(mixer.mix(frame))
            except (av.FFmpegError, ValueError) as error:
                raise InputError(
                    f"{self.path} holds sound that cannot be converted ({error})",
                    "export it again as .wav or .mp3",
                ) from error
            for samples in mixed:
                yield from blocks.add(samples)
        if self._seconds == 0:
            raise no_sound(self.path)
        for samples in mixer.flush():
            yield from blocks.add(samples)
        if total is None:
            if self._seconds is None:
                raise ValueError(f"{self.path} was closed while it was read")
            total = round(self._seconds * rate)
        yield from blocks.finish(total, channels)

    def _next(self, reader: _Reader) -> AudioFrame | None:
        """The next frame for a reader: decoded now, or kept since another reader needed it."""
        with self._lock:
            if reader.waiting:
                return reader.take()
            if reader.own is None:
                self._started = True
                frame = next(self._shared, None)
                if frame is not None:
                    reader.taken += 1
                    for other in list(self._readers):
                        if other is not reader and not other.add(frame):
                            self._readers.discard(other)
                            other.own = self._decode_again(other.taken)
                return frame
        return next(reader.own, None)

    def _decode(
        self, container: InputContainer, stream: AudioStream
    ) -> Generator[AudioFrame, None, None]:
        """Decode to the end, clean, and settle the length."""
        tally, cleaner, damaged = Tally(), Cleaner(), 0
        for frame in decode_packets(container, stream):
            if frame is None:
                damaged += 1
            else:
                tally.add(frame)
                yield from cleaner.clean(frame)
        first_time = self._seconds is None
        self._seconds = tally.seconds(container, stream)
        if damaged and first_time:
            _log.warning("%s: %d damaged pieces of sound were left out", self.path, damaged)
        if cleaner.silenced and first_time:
            _log.warning(
                "%s: %d samples are not finite or far above full scale; silenced",
                self.path,
                cleaner.silenced,
            )

    def _decode_again(self, skip: int) -> Iterator[AudioFrame]:
        """Frames of a decoder of its own, without the first ``skip``."""
        with open_track(self.path) as (container, stream):
            yield from islice(self._decode(container, stream), skip, None)


def open_sound(path: str | Path) -> Sound:
    """Open the sound of a recording or clip.

    Of several tracks the one flagged as default is taken, else the first. Nothing is decoded yet.

    Raises:
        InputError: no sound in it, or not a media file.
    """
    return Sound(path)


def sound_duration(path: str | Path) -> float:
    """Seconds of sound in a recording or clip, by decoding it (300–1000 times real time).

    The padding that codecs add does not count.

    Raises:
        InputError: no sound in it, or not a media file.
    """
    with open_track(path) as (container, stream):
        tally = Tally()
        for frame in decode_packets(container, stream):
            if frame is not None:
                tally.add(frame)
        seconds = tally.seconds(container, stream)
        if not seconds:
            raise no_sound(path)
        return float(seconds)


def stream_pcm(path: str | Path, rate: int = 16000) -> Iterator[np.ndarray]:
    """Decode the sound of a recording or clip as mono blocks, in constant memory.

    A stereo pair is averaged; of surround sound the centre enters at -3 dB and the pairs at half
    of their stereo downmix, turned down where the sum exceeds full scale. Other channels are
    averaged. Where an average cancels, the loudest channel is taken. Silence is legal.

    Args:
        path: anything libav decodes; of several tracks the default one.
        rate: samples per second of the output.

    Yields:
        ``[rate]`` float32 within about -1..1, a second each; the last block may be shorter.
        Together they hold ``round(duration_s * rate)`` samples.

    Raises:
        InputError: no sound in it, or not a media file.
    """
    with open_sound(path) as sound:
        yield from sound.blocks(rate)


def _resumed(
    first: AudioFrame, rest: Generator[AudioFrame, None, None]
) -> Generator[AudioFrame, None, None]:
    yield first
    yield from rest


class _Reader:
    """Frames on their way to one consumer of a :class:`Sound`.

    Attributes:
        waiting: decoded for other readers, not yet taken.
        taken: frames that were taken so far.
        own: a decoder of its own, once it is too late or too slow to share.
    """

    def __init__(self) -> None:
        self.waiting: deque[AudioFrame] = deque()
        self.taken = 0
        self.own: Iterator[AudioFrame] | None = None
        self._bytes = 0

    def take(self) -> AudioFrame:
        frame = self.waiting.popleft()
        self._bytes -= _size(frame)
        self.taken += 1
        return frame

    def add(self, frame: AudioFrame) -> bool:
        """Keep a frame for later; False, and nothing is kept, when too much waits already."""
        self._bytes += _size(frame)
        if self._bytes > _WAITING_BYTES:
            self.waiting.clear()
            return False
        self.waiting.append(frame)
        return True


def _size(frame: AudioFrame) -> int:
    return frame.samples * frame.layout.nb_channels * 4
