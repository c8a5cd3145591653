"""The sound track of a file: which one it is, and how long, as stated and as decoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from talkcli.errors import InputError
from talkcli.media.identify import describe
from talkcli.media.read import open_media

#: Longest AAC frame (HE-AAC), in samples: how much padding an MP4 may carry at its end.
MAX_PADDING = 2048
#: Encoder delay that an MP4 may carry at its start: 2112 samples by iTunes, twice that in HE-AAC.
_MAX_PRIMING = 4224

#: Sample rates below this hold no speech, Hz: such a header is damaged, and believing it would
#: stretch a sentence to hours.
_LEAST_RATE = 1000

#: Containers that state a length in samples. Others (MP3, Ogg, ADTS, Matroska) state none, or one
#: rounded or guessed from the size of the file.
_STATING = {"wav", "w64", "aiff", "au", "caf", "flac", "mp4"}


@dataclass
class Tally:
    """Counts decoded samples; the rate may change within a file (chained Ogg)."""

    samples: dict[int, int] = field(default_factory=dict)
    first_rate: int = 0

    def add(self, frame: AudioFrame) -> None:
        """Count a frame."""
        if not self.samples:
            self.first_rate = frame.sample_rate
        self.samples[frame.sample_rate] = self.samples.get(frame.sample_rate, 0) + frame.samples

    def seconds(self, container: InputContainer, stream: AudioStream) -> Fraction:
        """Duration without codec padding; 0 when nothing was decoded.

        MP4 states the true end in its edit list, which libav before 9 does not apply to the last
        packet: 12–13 ms of AAC padding would be left. Elsewhere the decoded count stands.
        """
        counted = sum((Fraction(n, rate) for rate, n in self.samples.items()), Fraction(0))
        if counted and "mp4" in container.format.name.split(",") and stream.duration:
            stated = stream.duration * Fraction(stream.time_base or 0)
            if 0 < counted - stated < Fraction(MAX_PADDING, self.first_rate):
                return stated
        return counted


@contextmanager
def open_track(path: str | Path) -> Iterator[tuple[InputContainer, AudioStream]]:
    """Open a file and the sound track that a player would choose.

    Raises:
        InputError: there is none.
    """
    with open_media(path, "a sound recording") as container:
        tracks = container.streams.audio
        if not tracks:
            kind = describe(Path(path))
            fix = {
                "a video": "give a recording of speech, or a video with sound",
                "a picture": "the portrait comes first, the speech second",
            }.get(kind, "give a recording such as .wav or .mp3")
            raise InputError(f"{path} has no sound in it: it is {kind}", fix)
        # A track whose codec libav does not know has no codec context.
        known = [track for track in tracks if track.codec_context is not None]
        if not known:
            raise no_sound(path)
        flagged = (track for track in known if track.disposition & Disposition.default)
        track = next(flagged, known[0])
        if 0 < (track.sample_rate or 0) < _LEAST_RATE:
            raise InputError(
                f"{path} states a sample rate of {track.sample_rate} Hz, too low for speech",
                "export it again as .wav or .mp3",
            )
        yield container, track


def stated_length(container: InputContainer, stream: AudioStream, path: Path) -> Fraction | None:
    """The length in seconds that the container states, if it is exact and the file whole."""
    kinds = _STATING.intersection(container.format.name.split(","))
    if not kinds or not stream.duration or not stream.time_base:
        return None
    stated: Fraction = stream.duration * Fraction(stream.time_base)
    codec = stream.codec_context
    if "mp4" in kinds and codec.frame_size > 1 and codec.sample_rate:
        # All packets, less what the encoder added before and after; else an edit list leaves
        # something out, or the sound has gaps, and only decoding tells.
        packets = Fraction(stream.frames * codec.frame_size, codec.sample_rate)
        room = Fraction(_MAX_PRIMING + codec.frame_size, codec.sample_rate)
        if not 0 <= packets - stated < room:
            return None
    return stated if _is_whole(path, stream) else None


def _is_whole(path: Path, header: AudioStream) -> bool:
    """Whether the file really ends where its header says: its last packet is there, and whole."""
    try:
        with open_track(path) as (container, stream):
            assert header.duration is not None
            container.seek((header.start_time or 0) + header.duration - 1, stream=stream)
            end = None
            for packet in container.demux(stream):
                if packet.is_corrupt:
                    return False
                if packet.pts is not None and packet.duration:
                    end = packet.pts + packet.duration
            return end is not None and end >= (header.start_time or 0) + header.duration
    except (av.FFmpegError, OSError, InputError):
        return False


def estimated_length(container: InputContainer, stream: AudioStream) -> float:
    """Length in seconds as stated or guessed by libav; 0 when unknown."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else 0.0


def start_of(container: InputContainer, stream: AudioStream) -> float:
    """When a track begins, seconds from the first moment of its file."""
    if stream.start_time is None or container.start_time is None:
        return 0.0
    own = float(stream.start_time * Fraction(stream.time_base or 0))
    return max(0.0, own - container.start_time / av.time_base)


def no_sound(path: str | Path) -> InputError:
    """The error for a track of which not one sample can be decoded."""
    return InputError(
        f"{path} holds no sound that can be decoded", "export it again as .wav or .mp3"
    )
