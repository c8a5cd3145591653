"""Writing video: H.264 + AAC in MP4, ProRes with transparency in MOV, or a folder of PNGs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from talkcli.errors import UsageError
from talkcli.files.output import SOUND_FILE, SOUND_MARK, PendingOutput, check_output
from talkcli.media.audio import Sound
from talkcli.media.encoder import FRAMES_HELD, Encoder, find_ffmpeg
from talkcli.media.feed import SoundFeed
from talkcli.media.identify import file_url
from talkcli.media.planes import to_planes

#: NTSC rates that people write as decimals: 23.976, 29.97, 47.952, 59.94, 119.88.
_NTSC_RATES = tuple(Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120))
_NTSC_TOLERANCE = Fraction(1, 200)  # "23.98" is 0.004 off
_FPS_RANGE = (1, 120)
_FPS_TEXT = re.compile(r"[+-]?\d{1,12}(\.\d{0,12})?(/\d{1,12})?|[+-]?\.\d{1,12}")

#: AAC below 44.1 kHz is cut off by some players and capped to a few dozen kbit/s by the encoder,
#: so speech at 8 or 16 kHz is upsampled. The 44.1 kHz family stays in its family.
_AAC_RATES = (48000, 44100)

#: At this bit rate the simple search costs half the CPU, .4 ms per frame of video.
_AAC = {"aac_coder": "fast"}

#: Samples of silence that are handed to the encoder at once.
_SILENCE_BLOCK = 48000

#: x264 speed. CPU ms per 512² frame | kB for 10 s | PSNR of luma at crf 18: superfast 2.6 | 865 |
#: 47.5, the same with ten frames of lookahead for the macroblock tree 2.1 | 369 | 45.0, veryfast
#: 3.2 | 305 | 45.2. faster and medium take 1.6 and 2.5 times as long as veryfast, for .3 and .5 dB.
_X264 = {"preset": "superfast", "x264-params": "mbtree=1:rc-lookahead=10"}

#: What every player expects of video: BT.709 throughout, 16–235.
_TAGS = {"color_primaries": "bt709", "color_trc": "bt709", "colorspace": "bt709"}


@dataclass(frozen=True)
class Encoding:
    """How frames and sound are encoded.

    Attributes:
        crf: x264 quality, 0–51, lower is better; 18 is visually lossless for most.
        alpha: keep transparency; frames are then RGBA with straight alpha.
        sound_start_s: seconds of silence before the sound, where it begins after the picture.
        sound_file: write the sound into a folder of PNGs, as ``sound.wav``.
    """

    crf: int = 18
    alpha: bool = False
    sound_start_s: float = 0.0
    sound_file: bool = False


@dataclass(frozen=True)
class FrameFormat:
    """The shape of the frames of a video.

    Attributes:
        width: pixels; even for H.264.
        height: likewise.
        fps: exact, see :func:`parse_fps`.
    """

    width: int
    height: int
    fps: Fraction


@dataclass(frozen=True)
class _Format:
    """What ffmpeg must do for one kind of output; ``planes``: frames reach it as Y, U and V."""

    video: dict[str, Any]
    pixels: str
    planes: bool = False
    sound: str | None = None
    directory: bool = False


def parse_fps(text: str | float | Fraction) -> Fraction:
    """Read a frame rate: "25", "23.976" (taken as 24000/1001), "30000/1001", 12.5.

    Raises:
        UsageError: not a number, or outside 1–120.
    """
    try:
        written = repr(text) if isinstance(text, float) else str(text).strip()
        # Fraction would work out 1e999999999 digit by digit.
        if not _FPS_TEXT.fullmatch(written):
            raise ValueError
        fps = Fraction(written)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(
            f"{str(text)[:40]!r} is no frame rate", "give --fps as 25 or 30000/1001"
        ) from error
    low, high = _FPS_RANGE
    if not low <= fps <= high:
        raise UsageError(f"{text} frames per second is outside {low}-{high}", "change --fps")
    nearest = min(_NTSC_RATES, key=lambda rate: abs(rate - fps))
    return nearest if abs(nearest - fps) <= _NTSC_TOLERANCE else fps


def frame_count(duration_s: float, fps: Fraction) -> int:
    """Frames whose total length is nearest to ``duration_s``: at most half a frame off."""
    return max(1, round(Fraction(duration_s) * fps))


def check_target(
    path: str | Path, *, overwrite: bool, alpha: bool = False, sound_file: bool = False
) -> None:
    """Refuse an output before any work is done: unknown suffix, existing file, no write access.

    Args:
        path: the output.
        overwrite: whether an existing output may be replaced.
        alpha: see :class:`Encoding`.
        sound_file: see :class:`Encoding`.

    Raises:
        UsageError: no encoder for the suffix, none that keeps transparency, or a sound file beside
            a video.
        InputError: nothing can be written there.
    """
    chosen = _choose_format(Path(path), Encoding(alpha=alpha, sound_file=sound_file))
    check_output(path, overwrite=overwrite, directory=chosen.directory)


def is_folder(path: Path) -> bool:
    """Whether an output is a folder of PNGs: no suffix, or a number as in ``a_-7.5``."""
    return not path.suffix.strip(".0123456789")


class VideoWriter:
    """Encodes frames as they come and adds a sound track; the result is complete or absent.

    Use as a context manager. Leaving it normally finishes the file, syncs it and renames it into
    place; leaving it by an exception removes what was written. A killed run leaves a hidden
    file, which the next writer in that directory removes.

    The suffix picks the format: ``.mp4``/``.m4v`` H.264 4:2:0 + AAC (fast start); ``.mov`` the
    same, or ProRes 4444 with ``encoding.alpha``; no suffix a folder of PNGs, 00000.png onwards,
    with the sound in ``sound.wav`` if ``encoding.sound_file``. In videos colours are converted with
    the BT.709 matrix to video range and tagged so.

    Args:
        path: the output.
        frames: size and rate of the frames.
        duration_s: length of picture and sound; :func:`frame_count` frames must be written. None
            if the sound's length is not known yet: the video then lasts as long as the sound, and
            the number of frames is checked at the end. Without sound, any number is right.
        sound: the sound track, from its beginning, cut or padded to ``duration_s``; it stays open
            and its decoder is shared. None for a silent video.
        overwrite: replace an existing output.
        encoding: quality and transparency.

    Raises:
        UsageError: size, suffix and transparency do not fit together.
        InputError: the output exists, or cannot be written; raised before the first frame.
        MissingDependencyError: there is no ffmpeg that can encode.
    """

    def __init__(
        self,
        path: str | Path,
        frames: FrameFormat,
        *,
        duration_s: float | None,
        sound: Sound | None = None,
        overwrite: bool = False,
        encoding: Encoding | None = None,
    ) -> None:
        self._path = Path(path)
        self._encoding = encoding or Encoding()
        self._format = _choose_format(self._path, self._encoding)
        if duration_s is not None and not (math.isfinite(duration_s) and duration_s > 0):
            raise UsageError(f"a video of {duration_s} s cannot be written")
        if self._format.planes and (frames.width % 2 or frames.height % 2):
            raise UsageError(
                f"{frames.width}x{frames.height} has an odd side, which H.264 cannot store",
                "choose even sizes, or write PNGs into a folder",
            )
        self._shape = (frames.height, frames.width, 4 if self._encoding.alpha else 3)
        self._fps = frames.fps
        self._duration = duration_s
        self._overwrite = overwrite
        self._program = find_ffmpeg()
        self._pending: PendingOutput | None = None
        self._encoder: Encoder | None = None
        # A frame is copied into the one that the encoder has certainly let go of.
        size = frames.width * frames.height * 3 // 2
        shape = (size,) if self._format.planes else self._shape
        self._copies = np.empty((FRAMES_HELD + 1, *shape), np.uint8)
        self.frames_written = 0
        check_output(self._path, overwrite=overwrite, directory=self._format.directory)
        self._sound = sound
        self._samples = self._track()

    def __enter__(self) -> VideoWriter:
        self._pending = PendingOutput(
            self._path, overwrite=self._overwrite, directory=self._format.directory
        )
        feed = None if self._samples is None else SoundFeed(self._samples)
        try:
            self._encoder = Encoder(self._command(self._pending.temp, feed), self._path, feed)
        except BaseException:
            self._pending.discard()
            raise
        return self

    def write(self, frame: np.ndarray) -> None:
        """Queue the next frame. It is copied: the caller may reuse the array at once.

        Args:
            frame: ``[H, W, 3]`` uint8 sRGB, or ``[H, W, 4]`` with straight alpha.

        Raises:
            InputError: the disk is full.
            TalkcliError: ffmpeg has failed.
        """
        if self._encoder is None:
            raise ValueError("VideoWriter is used outside its with block")
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise ValueError(f"expected uint8 {self._shape}, got {frame.dtype} {frame.shape}")
        copy = self._copies[self.frames_written % len(self._copies)]
        if self._format.planes:
            to_planes(np.ascontiguousarray(frame), copy)
        else:
            copy[:] = frame
        self._encoder.put(memoryview(copy).cast("B"))
        self.frames_written += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        encoder, pending = self._encoder, self._pending
        assert encoder is not None and pending is not None
        self._encoder = None
        with pending:  # discards unless committed
            try:
                if kind is None:
                    self._check_length(self._duration)
                    encoder.finish()
                    if self._duration is None and self._samples is not None:
                        assert self._sound is not None
                        self._check_length(self._sound.duration_s)
                    pending.commit()
            finally:
                encoder.kill()

    def _check_length(self, duration_s: float | None) -> None:
        if duration_s is None:
            return
        expected = frame_count(duration_s, self._fps)
        if self.frames_written != expected:
            raise ValueError(
                f"{self.frames_written} frames were written, {expected} make {duration_s:.3f} s"
            )

    def _track(self) -> Iterator[np.ndarray] | None:
        """The samples for the encoder, or None for a silent output."""
        sound = self._sound
        if sound is None or self._format.sound is None:
            return None
        own = sound.sample_rate
        if self._format.directory:
            self._rate = own
        else:
            self._rate = next((r for r in _AAC_RATES if r % own == 0 or own % r == 0), 48000)
        channels, lead = sound.track_channels, round(self._encoding.sound_start_s * self._rate)
        if self._duration is None:
            return chain(_silence(lead, channels), sound.track(self._rate, channels))
        rest = self._duration - lead / self._rate
        if rest <= 0:
            return _silence(round(self._duration * self._rate), channels)
        return chain(_silence(lead, channels), sound.track(self._rate, channels, rest))

    def _raw_pixels(self) -> str:
        if self._format.planes:
            return self._format.pixels
        return "rgba" if self._encoding.alpha else "rgb24"

    def _command(self, temp: Path, feed: SoundFeed | None) -> list[str]:
        import ffmpeg  # takes 5 ms

        height, width = self._shape[:2]
        picture = ffmpeg.input(
            "pipe:0",
            format="rawvideo",
            pixel_format=self._raw_pixels(),
            video_size=(width, height),
            framerate=f"{self._fps.numerator}/{self._fps.denominator}",
        ).video
        common = {"map_metadata": -1, "map_chapters": -1}
        names = {"OUTPUT": file_url(temp)}
        if self._format.directory:
            names["OUTPUT"] = file_url(temp).replace("%", "%%") + "/%05d.png"
            names["SOUND"] = file_url(temp / SOUND_FILE)
        else:
            picture = _to_bt709(picture, self._format)
        streams, outputs = [picture], []
        options = self._format.video | common
        if feed is not None:
            assert self._sound is not None
            channels = self._sound.track_channels
            url = f"pipe:{feed.read_end}"
            sound = ffmpeg.input(url, format="f32le", ar=self._rate, ac=channels).audio
            if self._format.directory:
                kind = _wav_options(self._sound)
                outputs.append(ffmpeg.output(sound, "SOUND", **kind, **common))
            else:
                streams.append(sound)
                options |= {"c:a": self._format.sound, "b:a": "192k", **_AAC}
        outputs.append(ffmpeg.output(*streams, "OUTPUT", **options))
        merged = ffmpeg.merge_outputs(*outputs).global_args(
            "-nostdin", "-hide_banner", "-loglevel", "error"
        )
        command = ffmpeg.compile(merged, cmd=self._program, overwrite_output=True)
        # ffmpeg-python takes no name that is not UTF-8; the system does.
        return [names.get(part, part) for part in command]


def _wav_options(sound: Sound) -> dict[str, Any]:
    """How ffmpeg writes a WAV file that keeps every bit; beyond 4 GB it becomes RF64."""
    return {
        "format": "wav",
        "rf64": "auto",
        "c:a": f"pcm_s{sound.bits}le",
        "metadata": f"comment={SOUND_MARK}",
    }


def _silence(samples: int, channels: int) -> Iterator[np.ndarray]:
    """``[samples, channels]`` float32 zeros, a second at most in each block."""
    for start in range(0, samples, _SILENCE_BLOCK):
        yield np.zeros((min(_SILENCE_BLOCK, samples - start), channels), np.float32)


def _choose_format(path: Path, encoding: Encoding) -> _Format:
    suffix, folder = path.suffix.lower(), is_folder(path)
    if encoding.sound_file and not folder:
        raise UsageError(
            f"{path.name} holds the sound itself, --with-sound is for a folder of PNGs",
            "omit it, or name a folder with -o",
        )
    if suffix in (".mp4", ".m4v", ".mov") and not encoding.alpha:
        options: dict[str, Any] = {"c:v": "libx264", **_X264, "crf": encoding.crf}
        muxer = "mov" if suffix == ".mov" else "mp4"
        options |= {"format": muxer, "movflags": "+faststart", **_TAGS, "color_range": "tv"}
        return _Format(options, "yuv420p", planes=True, sound="aac")
    if suffix == ".mov":
        options = {"c:v": "prores_ks", "profile:v": "4444", "vendor": "apl0", "format": "mov"}
        options |= {"movflags": "+faststart", **_TAGS, "color_range": "tv"}
        return _Format(options, "yuva444p10le", sound="aac")
    if folder:
        sound = "wav" if encoding.sound_file else None
        return _Format({"format": "image2", "start_number": 0}, "", sound=sound, directory=True)
    if encoding.alpha:
        raise UsageError(
            f"'{suffix}' keeps no transparency", "name a .mov, or a folder for PNG frames"
        )
    raise UsageError(
        f"videos cannot be written as '{suffix}'", "name an .mp4 or .mov, or a folder for PNGs"
    )


def _to_bt709(picture: Any, wanted: _Format) -> Any:
    """Tag planes, or convert RGB, as video-range BT.709; accurate_rnd keeps it within one level."""
    if not wanted.planes:
        picture = picture.filter(
            "scale",
            in_range="full",
            out_range="tv",
            out_color_matrix="bt709",
            flags="bicubic+accurate_rnd+full_chroma_int+full_chroma_inp",
        ).filter("format", wanted.pixels)
    return picture.filter(
        "setparams", range="tv", colorspace="bt709", color_primaries="bt709", color_trc="bt709"
    )
