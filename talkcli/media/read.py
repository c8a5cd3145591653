"""Clips: what a file contains, and its frames, upright and with their real times."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame as AvFrame
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from talkcli.errors import InputError
from talkcli.files.check import check_readable
from talkcli.media.identify import describe, document_kind, is_cover_art, open_container

_log = logging.getLogger(__name__)

#: swscale's matrices by the code in the stream (ISO/IEC 23091-2). Numbers, because PyAV names
#: BT.2020 (9) only in its newer versions. 8 (YCgCo) and 0 (RGB) are no business of swscale's.
_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_BT709, _BT601 = 1, 5

#: swscale's flags, numbers again: bicubic, area; and accurate_rnd + full_chroma_int +
#: full_chroma_inp, without which it takes the nearest chroma sample and rounds loosely.
_BICUBIC, _AREA = 0x4, 0x20
_EXACT = 0x40000 | 0x2000 | 0x4000

#: Untagged clips of at least this many lines are taken for BT.709, smaller ones for BT.601, as
#: players do.
_HD_LINES = 720


@dataclass(frozen=True)
class MediaInfo:
    """What the header of a clip or recording says.

    Attributes:
        duration_s: seconds as the container states them; an estimate. The exact duration of a
            sound track is :func:`talkcli.media.audio.sound_duration`'s.
        has_audio, has_video: whether there is such a stream. Album covers are no video.
        fps: mean frame rate, None when unknown or without video.
        n_frames: frames as the container states them, 0 when it does not.
    """

    duration_s: float
    has_audio: bool
    has_video: bool
    fps: Fraction | None = None
    n_frames: int = 0


@dataclass(frozen=True)
class VideoFrame:
    """One decoded frame.

    Attributes:
        time_s: presentation time, seconds from the first moment of the file, never decreasing.
        rgb: ``[H, W, 3]`` uint8, sRGB-encoded as in the file, upright.
        skipped: damaged frames that were left out before this one.
    """

    time_s: float
    rgb: np.ndarray
    skipped: int


@contextmanager
def open_media(path: str | Path, wanted: str) -> Iterator[InputContainer]:
    """Open a local video or recording, and no other file: playlists are refused unread.

    Raises:
        InputError: not a readable media file.
    """
    path = check_readable(path, wanted)
    try:
        container = open_container(path)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _unreadable(path, wanted) from error
    with container:
        yield container


def probe(path: str | Path) -> MediaInfo:
    """Read the header of a clip or recording, and one frame to see that it can be decoded.

    Raises:
        InputError: not a readable clip or recording, or a still picture.
    """
    with open_media(path, "a video or recording") as container:
        stream = _video_stream(container)
        audio = bool(container.streams.audio)
        duration = container.duration / av.time_base if container.duration else 0.0
        if stream is None:
            if not audio:
                raise _unreadable(Path(path), "a video or recording")
            return MediaInfo(duration, has_audio=True, has_video=False)
        if _is_still(container):
            raise _unreadable(Path(path), "a video or recording")
        frame = next((frame for frame, _ in _decode(container, stream)), None)
        if frame is None:
            raise _no_frame(path)
        return MediaInfo(
            duration_s=duration,
            has_audio=audio,
            has_video=True,
            fps=stream.average_rate or stream.guessed_rate,
            n_frames=stream.frames,
        )


def read_frames(
    path: str | Path, *, max_side: int | None = None, skip: int = 0
) -> Iterator[VideoFrame]:
    """Decode a clip frame by frame, in constant memory.

    Frames keep their own times, however uneven. A damaged frame is left out and counted; a
    damaged end ends the clip. Rotation (mirroring too), pixel shape, colour matrix and range of
    the file are applied.

    Args:
        path: any clip that libav reads, animated pictures included.
        max_side: shrink frames whose longer side exceeds this many pixels.
        skip: leave out this many frames at the beginning, which are decoded but not converted.

    Yields:
        frames in presentation order.

    Raises:
        InputError: not a clip, or not one frame of it can be decoded.
    """
    with open_media(path, "a video") as container:
        stream = _video_stream(container)
        if stream is None or _is_still(container):
            raise _unreadable(Path(path), "a video")
        stream.thread_type = "AUTO"
        clock, orientation = _Clock(container, stream), _Orientation()
        skipped = 0
        size: tuple[int, int] | None = None
        for frame, skipped in _decode(container, stream):
            if frame is None:
                continue
            size = size or _shown_size(frame, stream, max_side)
            time_s = clock.time_of(frame)
            orientation.note(frame)
            if skip > 0:
                skip -= 1
                continue
            try:
                rgb = orientation.upright(_rgb(frame, size))
            except (av.FFmpegError, ValueError, MemoryError) as error:
                raise InputError(
                    f"{path} holds a frame that cannot be converted ({error})",
                    "export it again as .mp4",
                ) from error
            yield VideoFrame(time_s, rgb, skipped)
        if size is None:
            raise _no_frame(path)
        if skipped:
            _log.warning("%s: damaged frames left out: %d", path, skipped)


def decode_packets(container: InputContainer, stream: Any) -> Iterator[Any]:
    """Frames of one sound or video stream; None in place of every piece that is too damaged."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError):
            yield None
            return  # the container itself breaks off here
        if packet is None:
            return
        try:
            frames = packet.decode()
        except (av.FFmpegError, OSError):
            yield None
            continue
        yield from frames


class _Clock:
    """Times of frames from the start of the file; made up where the file has none."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._start = (container.start_time or 0) / av.time_base
        rate = stream.average_rate or stream.guessed_rate
        self._step = float(1 / rate) if rate else 0.04
        self._last: float | None = None

    def time_of(self, frame: AvFrame) -> float:
        time = None if frame.pts is None else frame.time - self._start
        if self._last is None:
            time = max(0.0, time or 0.0)
        elif time is None or time <= self._last:
            time = self._last + self._step
        self._last = time
        return time


def _video_stream(container: InputContainer) -> VideoStream | None:
    # A stream whose codec libav does not know has no codec context.
    known = (s for s in container.streams.video if s.codec_context is not None)
    return next((s for s in known if not is_cover_art(s)), None)


def _is_still(container: InputContainer) -> bool:
    """Whether libav opened a picture with one of its single-image demuxers."""
    names = container.format.name.split(",")
    return any(name.endswith("_pipe") or name == "image2" for name in names)


def _decode(container: InputContainer, stream: VideoStream) -> Iterator[tuple[AvFrame | None, int]]:
    """Yield (frame, damaged frames so far); frame is None after the last, with the final count."""
    skipped = 0
    for frame in decode_packets(container, stream):
        if frame is None or frame.is_corrupt:
            skipped += 1
        else:
            yield frame, skipped
    yield None, skipped


class _Orientation:
    """The display transform of a stream's frames.

    It is read from the first frame, and again where the rotation changes: PyAV's frame and its side
    data refer to each other, so that a frame whose side data was read, 3 MB of 1080p, is only freed
    when the garbage collector runs. The first two minutes of such a clip held 8 GB.
    """

    def __init__(self) -> None:
        self._turn: object = None
        self._matrix = (1, 0, 0, 1)
        self._known = False

    def note(self, frame: AvFrame) -> None:
        """Read the transform of a frame, if it may have changed."""
        turn = getattr(frame, "rotation", None)
        if not self._known or turn != self._turn:
            self._matrix, self._turn, self._known = _display_matrix(frame), turn, True

    def upright(self, rgb: np.ndarray) -> np.ndarray:
        """Turn and mirror a picture as its frame says."""
        a, b, c, d = self._matrix
        if a == 0:
            rgb, a, d = rgb.swapaxes(0, 1), c, b
        return np.ascontiguousarray(rgb[:: d or 1, :: a or 1])


def _display_matrix(frame: AvFrame) -> tuple[int, int, int, int]:
    """Signs (a, b, c, d) of the display transform x' = a x + c y, y' = b x + d y, y down."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")  # typed as object by PyAV
    if data is None:
        return (1, 0, 0, 1)
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(data), np.int32)[:5])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return (_sign(a), 0, 0, _sign(d))
    return (0, _sign(b), _sign(c), 0)


def _sign(value: int) -> int:
    return -1 if value < 0 else 1


def _shown_size(frame: AvFrame, stream: VideoStream, max_side: int | None) -> tuple[int, int]:
    """Width and height with square pixels, before rotation, at most ``max_side``."""
    width, height = float(frame.width), float(frame.height)
    aspect = stream.sample_aspect_ratio
    if aspect:
        width *= float(aspect)
    shrink = min(1.0, max_side / max(width, height)) if max_side else 1.0
    return max(1, round(width * shrink)), max(1, round(height * shrink))


def _rgb(frame: AvFrame, size: tuple[int, int]) -> np.ndarray:
    """Convert to RGB with the file's own matrix and range, and scale."""
    width, height = size
    is_hd = frame.height >= _HD_LINES
    same_size = (width, height) == (frame.width, frame.height)
    flags = _EXACT | (_BICUBIC if same_size else _AREA)
    is_full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    return frame.reformat(
        width=width,
        height=height,
        format="rgb24",
        src_colorspace=_MATRIX.get(frame.colorspace, _BT709 if is_hd else _BT601),
        src_color_range=ColorRange.JPEG if is_full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=flags,
    ).to_ndarray()


def _unreadable(path: Path, wanted: str) -> InputError:
    kind = describe(path)
    if kind.startswith("a playlist"):
        fix = "give the file that it names"
    elif kind == "a picture" and "sound" in wanted:
        fix = "the portrait comes first, the speech second"
    elif document_kind(path) is not None:
        fix = "give a file such as .mp4 or .wav"
    else:
        fix = "play it in a media player, and export it as .mp4 or .wav"
    return InputError(f"{path} is not {wanted} that can be read: it is {kind}", fix)


def _no_frame(path: str | Path) -> InputError:
    return InputError(f"{path} holds no frame that can be decoded", "export or copy it again")
