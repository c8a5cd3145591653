"""A fitted avatar on disk: the portrait's files, and ``subject.safetensors`` beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from talkcli.engines.audio_plane.avatar import SubjectAvatar
from talkcli.engines.audio_plane.offsets import FEATURES, DrivenOffsets, Mixer
from talkcli.engines.audio_plane.voices import packed, unpacked
from talkcli.engines.portrait.checkpoint import check_avatar, load_avatar, save_avatar
from talkcli.errors import InputError
from talkcli.files.tensors import Header, Rule, Tensors, TensorSchema
from talkcli.types import MotionCurves

SCHEMA = 1
MEND = "fit it again with: talkcli fit -p PROJECT"
_TENSORS, _PORTRAIT = "subject.safetensors", "portrait"
_CURVES = ("times", "expression", "rotation", "translation", "gaze")
_FAR = 1e4
_LONGEST_S = 86_400.0
#: Offsets beyond these would be a diverged fit: centimetres, logarithm of size, sRGB levels.
_MOST_OFFSET = 50.0


def save_subject(avatar: SubjectAvatar, directory: Path) -> None:
    """Write an avatar into a directory that nothing reads yet.

    Args:
        avatar: what to write.
        directory: receives the files.

    Raises:
        OSError: the disk is full.
    """
    (directory / _PORTRAIT).mkdir()
    save_avatar(replace(avatar.portrait, correction=None), directory / _PORTRAIT)
    offsets = avatar.offsets
    tensors: Tensors = {
        "offsets.index": offsets.index.astype(np.int32),
        "offsets.shapes": offsets.shapes.astype(np.float16),
        **{f"mixer.{name}": array for name, array in vars(offsets.mixer).items()},
        **{f"clip.{name}": np.asarray(getattr(avatar.clip, name), np.float32) for name in _CURVES},
        "clip.tracked": avatar.clip.tracked.astype(np.uint8),
        **packed(avatar.voices),
    }
    header = {
        "duration_s": avatar.clip.duration_s,
        "source": avatar.source,
        "held_out": avatar.held_out,
    }
    _FILE.save(directory / _TENSORS, tensors, header)


def load_subject(directory: Path) -> SubjectAvatar:
    """Read an avatar.

    Raises:
        InputError: files are missing, damaged, of a newer schema, or do not belong together.
    """
    tensors, header = _read(directory)
    portrait = load_avatar(directory / _PORTRAIT)
    index = tensors["offsets.index"]
    if len(index) and int(index.max()) >= len(portrait.splats):
        raise InputError(f"the avatar in {directory} is damaged (it moves unknown splats)", MEND)
    mixer = Mixer(**{n.split(".")[1]: a for n, a in tensors.items() if n.startswith("mixer.")})
    portrait.correction = DrivenOffsets(index, tensors["offsets.shapes"], mixer)
    clip = MotionCurves(
        **{name: tensors[f"clip.{name}"] for name in _CURVES},
        tracked=tensors["clip.tracked"].astype(bool),
        duration_s=float(header["duration_s"]),
        relative=True,
    )
    voices = unpacked(tensors)
    return SubjectAvatar(portrait, clip, header["source"], header["held_out"], voices)


def check_subject(directory: Path) -> None:
    """Reject what :func:`load_subject` would reject, without making the avatar.

    Raises:
        InputError: as for :func:`load_subject`.
    """
    _read(directory)
    check_avatar(directory / _PORTRAIT)


def _read(directory: Path) -> tuple[Tensors, Header]:
    tensors, header = _FILE.read(directory / _TENSORS)
    try:
        unpacked(tensors)
    except ValueError as error:
        raise InputError(f"the avatar in {directory} is damaged ({error})", MEND) from error
    index, times = tensors["offsets.index"], tensors["clip.times"]
    numbers = [header.get("source"), header.get("held_out")]
    if (
        np.any(np.diff(index) <= 0)
        or np.any(np.diff(times) <= 0)
        or not all(type(number) is int and 0 <= number <= len(times) for number in numbers)
        or header["source"] >= len(times)
        or type(header.get("duration_s")) not in (int, float)
        or not times[-1] <= header["duration_s"] <= _LONGEST_S
    ):
        raise InputError(f"the avatar in {directory} is damaged", MEND)
    return tensors, header


_FILE = TensorSchema(
    title="fitted avatar",
    version=SCHEMA,
    mend=MEND,
    rules={
        "offsets.index": Rule("M", "i", low=0),
        "offsets.shapes": Rule("K M 7", low=-_MOST_OFFSET, high=_MOST_OFFSET),
        "mixer.mean": Rule(f"{FEATURES}"),
        "mixer.scale": Rule(f"{FEATURES}", low=1e-3),
        "mixer.hidden_weight": Rule(f"H {FEATURES}", low=-_FAR, high=_FAR),
        "mixer.hidden_bias": Rule("H", low=-_FAR, high=_FAR),
        "mixer.weight": Rule("K H", low=-_FAR, high=_FAR),
        "mixer.bias": Rule("K", low=-_FAR, high=_FAR),
        "clip.times": Rule("n", low=0),
        "clip.expression": Rule("n 52", low=-_FAR, high=_FAR),
        "clip.rotation": Rule("n 3", low=-_FAR, high=_FAR),
        "clip.translation": Rule("n 3", low=-_FAR, high=_FAR),
        "clip.gaze": Rule("n 2", low=-_FAR, high=_FAR),
        "clip.tracked": Rule("n", "u", low=0, high=1),
    },
)
