"""A prepared clip on disk: everything that an avatar of the person in it is fitted to.

``clip.safetensors`` holds curves, landmarks, plate, best picture and speech, with a JSON header;
``crops.safetensors`` and ``mattes.safetensors`` hold the head in the stored frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from talkcli.errors import InputError
from talkcli.files.tensors import Header, Rule, Tensors, TensorSchema
from talkcli.layers.pictures import Roll, write_roll
from talkcli.shapes import Bool, Float32, Integer, UInt8
from talkcli.types import MotionCurves

SCHEMA = 1
MEND = "make it again with: talkcli preprocess CLIP"
#: Largest side of the stored crops, pixels.
MAX_CROP_PX = 640
#: Speech features per second, and bands of each.
SPEECH_HZ, SPEECH_BANDS = 100, 80
#: The fit holds back this share of a clip, at its end, to judge itself.
HELD_OUT = 0.2
#: With fewer frames than this to fit to, an avatar would learn them by heart.
FEWEST_FITTED = 25
_TENSORS, _CROPS, _MATTES = "clip.safetensors", "crops.safetensors", "mattes.safetensors"
_CURVES = ("times", "expression", "rotation", "translation", "gaze")
_MAX_SIDE = 1 << 15
_LONGEST_S = 86_400.0


class Box(NamedTuple):
    """A square of the picture, in its pixels; it may reach beyond the edge, which is replicated."""

    x: float
    y: float
    side: float

    @property
    def pixels(self) -> int:
        """Side of the stored crops, pixels."""
        return min(round(self.side), MAX_CROP_PX)


@dataclass(frozen=True)
class PreparedClip:
    """The best segment of a clip of one person, made ready to fit an avatar to.

    Frames are numbered from the start of the segment, 0 to n - 1.

    Attributes:
        fps: mean frames per second; the times of ``curves`` are exact.
        width: of the upright picture, pixels.
        height: likewise.
        segment: start and end of the segment in the clip, seconds.
        turned: degrees clockwise by which the clip's frames were turned, beyond its rotation flag.
        curves: motion, times relative to the start of the segment; filled in where bad.
        points: ``[n, 478, 3]`` float32 landmarks, pixels of the upright picture; likewise.
        usable: ``[n]`` whether the frame is good to fit to: face found, sharp, nothing before it.
        best: the frame to build a one-picture avatar from, among the first 80 %.
        box: the square that holds the head, wherever it moves, and what an avatar's crop holds.
        stored: ``[m]`` frames whose crops are stored, increasing.
        plate: ``[H, W, 3]`` uint8 sRGB, the picture without the person.
        offset_s: how much later than the sound the lips are in the clip; ``speech`` is corrected.
        sync_confidence: certainty of the measured offset, 0–1; None if it could not be measured.
        sound: whether the clip has sound.
        speech: ``[k, 80]`` float32 speech features, row ``k`` for the lips at ``k / 100`` seconds
            of the segment; None without sound.
        verdict: JSON values, see docs/preprocess.md.
    """

    fps: Fraction
    width: int
    height: int
    segment: tuple[float, float]
    turned: int
    curves: MotionCurves
    points: Float32[np.ndarray, "n 478 3"]
    usable: Bool[np.ndarray, " n"]
    best: int
    box: Box
    stored: Integer[np.ndarray, " m"]
    plate: UInt8[np.ndarray, "H W 3"]
    offset_s: float
    sync_confidence: float | None
    sound: bool
    speech: Float32[np.ndarray, "k 80"] | None
    verdict: Mapping[str, Any]
    _best: UInt8[np.ndarray, "H W 3"]
    _crops: Roll | None = field(default=None, repr=False)
    _mattes: Roll | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def duration_s(self) -> float:
        """Length of the segment, seconds."""
        return self.curves.duration_s

    @property
    def crop_pixels(self) -> int:
        """Side of crops and mattes, pixels."""
        return self.box.pixels

    def best_picture(self) -> UInt8[np.ndarray, "H W 3"]:
        """The whole picture of frame ``best``, as it was decoded."""
        return self._best

    def crop(self, number: int) -> UInt8[np.ndarray, "S S 3"]:
        """The box in the frame ``stored[number]``, sRGB (JPEG of quality 95)."""
        assert self._crops is not None
        return self._crops[number]

    def matte(self, number: int) -> UInt8[np.ndarray, "S S"]:
        """How much of each pixel of :meth:`crop` is person, 0–255."""
        assert self._mattes is not None
        return self._mattes[number]

    def save(self, directory: Path, crops: Sequence[bytes], mattes: Sequence[bytes]) -> None:
        """Write into a directory that nothing reads yet, such as that of a new stage.

        Args:
            directory: receives the files.
            crops: encoded crops of the stored frames, see :func:`talkcli.layers.pictures`.
            mattes: their encoded mattes.

        Raises:
            OSError: the disk is full.
        """
        write_roll(directory / _CROPS, crops)
        write_roll(directory / _MATTES, mattes)
        curves = {name: getattr(self.curves, name) for name in _CURVES}
        tensors: Tensors = {
            **curves,
            "tracked": self.curves.tracked.astype(np.uint8),
            "points": self.points.astype(np.float32),
            "usable": self.usable.astype(np.uint8),
            "stored": np.asarray(self.stored, np.int64),
            "plate": self.plate,
            "best": self._best,
        }
        if self.speech is not None:
            tensors["speech"] = self.speech.astype(np.float32)
        _FILE.save(directory / _TENSORS, tensors, self._header())

    def _header(self) -> Header:
        return {
            "fps": str(self.fps),
            "segment": list(self.segment),
            "duration_s": self.duration_s,
            "turned": self.turned,
            "best": self.best,
            "box": list(self.box),
            "offset_s": self.offset_s,
            "sync_confidence": self.sync_confidence,
            "sound": self.sound,
            "verdict": dict(self.verdict),
        }

    @staticmethod
    def load(directory: Path) -> PreparedClip:
        """Read what :meth:`save` wrote; crops and mattes stay on disk until they are asked for.

        Raises:
            InputError: files are missing, damaged, of a newer schema, or hold what no clip has.
        """
        tensors, header = _FILE.read(directory / _TENSORS)
        try:
            clip = _clip(tensors, header)
            _check(clip)
            side = clip.crop_pixels
            crops = Roll(directory / _CROPS, side, colour=True)
            mattes = Roll(directory / _MATTES, side, colour=False)
            if not len(crops) == len(mattes) == len(clip.stored):
                raise ValueError("not every stored frame has its pictures")
        except (OSError, KeyError, TypeError, ValueError, ArithmeticError) as error:
            reason = f"lacks {error}" if isinstance(error, KeyError) else f"is damaged ({error})"
            raise InputError(f"the prepared clip {directory} {reason}", MEND) from error
        return replace(clip, _crops=crops, _mattes=mattes)


def _clip(tensors: Tensors, header: Header) -> PreparedClip:
    height, width = tensors["plate"].shape[:2]
    start, end = (_number(value) for value in header["segment"])
    certain = header["sync_confidence"]
    # Fraction would expand an exponent digit by digit.
    over, under = (int(part) for part in f"{header['fps'][:24]}/1".split("/")[:2])
    return PreparedClip(
        fps=Fraction(over, under),
        width=width,
        height=height,
        segment=(start, end),
        turned=header["turned"],
        curves=MotionCurves(
            **{name: tensors[name] for name in _CURVES},
            tracked=tensors["tracked"].astype(bool),
            duration_s=_number(header["duration_s"]),
            relative=False,
        ),
        points=tensors["points"],
        usable=tensors["usable"].astype(bool),
        best=header["best"],
        box=Box(*(_number(value) for value in header["box"])),
        stored=tensors["stored"],
        plate=tensors["plate"],
        offset_s=_number(header["offset_s"]),
        sync_confidence=None if certain is None else _number(certain),
        sound=header["sound"] is True,
        speech=tensors.get("speech"),
        verdict=header["verdict"],
        _best=tensors["best"],
    )


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{value!r} where a number belongs")
    return float(value)


def _check(clip: PreparedClip) -> None:
    """Reject values that do not fit together.

    Raises:
        ValueError: the message says which.
    """
    count = len(clip)
    if not count or not 0 < clip.fps <= 1000:
        raise ValueError(f"{count} frames at {clip.fps} per second")
    if type(clip.best) is not int or not 0 <= clip.best < count:
        raise ValueError(f"the best frame is {clip.best!r}")
    if clip.turned not in (0, 90, 180, 270) or not isinstance(clip.verdict, dict):
        raise ValueError("its header is incomplete")
    if not 16 <= clip.box.side <= 8 * _MAX_SIDE or max(abs(v) for v in clip.box) > 8 * _MAX_SIDE:
        raise ValueError(f"the box is {clip.box}")
    if not len(clip.stored) or (np.diff(clip.stored) <= 0).any():
        raise ValueError("its stored frames are not in order")
    times, end = clip.curves.times, clip.duration_s
    if (np.diff(times) <= 0).any() or not times[-1] <= end <= _LONGEST_S:
        raise ValueError("its times do not rise")


_FILE = TensorSchema(
    title="prepared clip",
    version=SCHEMA,
    mend=MEND,
    rules={
        "times": Rule("N", low=0, high=_LONGEST_S),
        "expression": Rule("N 52", low=0, high=1),
        "rotation": Rule("N 3", low=-360, high=360),
        "translation": Rule("N 3", low=-1e4, high=1e4),
        "gaze": Rule("N 2", low=-180, high=180),
        "tracked": Rule("N", "u", low=0, high=1),
        "points": Rule("N 478 3", low=-8 * _MAX_SIDE, high=8 * _MAX_SIDE),
        "usable": Rule("N", "u", low=0, high=1),
        "stored": Rule("M", "i", low=0, high="N"),
        "plate": Rule("H W 3", "u"),
        "best": Rule("H W 3", "u"),
        "speech": Rule(f"K {SPEECH_BANDS}", low=-1e3, high=1e3, optional=True),
    },
)
