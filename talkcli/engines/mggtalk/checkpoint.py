"""An avatar on disk: the portrait's files, and ``decoded.safetensors`` beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from talkcli.engines.audio_plane.offsets import DrivenOffsets
from talkcli.engines.audio_plane.stored_offsets import (
    OFFSET_RULES,
    fits,
    offset_tensors,
    offsets_of,
)
from talkcli.engines.mggtalk.refine import ENGINE
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.checkpoint import check_avatar, load_avatar, save_avatar
from talkcli.errors import InputError
from talkcli.files.tensors import Tensors, TensorSchema

SCHEMA = 1
MEND = "build it again with: talkcli reconstruct PORTRAIT --engine mggtalk"
_TENSORS, _PORTRAIT = "decoded.safetensors", "portrait"


def save_decoded(avatar: PortraitAvatar, directory: Path) -> None:
    """Write an avatar into a directory that nothing reads yet.

    Args:
        avatar: what to write; without a correction, it is the analytic avatar.
        directory: receives the files.

    Raises:
        OSError: the disk is full.
    """
    (directory / _PORTRAIT).mkdir()
    save_avatar(replace(avatar, correction=None), directory / _PORTRAIT)
    offsets = avatar.correction
    assert offsets is None or isinstance(offsets, DrivenOffsets)
    tensors: Tensors = {} if offsets is None else offset_tensors(offsets)
    _FILE.save(directory / _TENSORS, tensors, {"engine": ENGINE, "decoded": offsets is not None})


def load_decoded(directory: Path) -> PortraitAvatar:
    """Read an avatar.

    Raises:
        InputError: files are missing, damaged, of a newer schema, or do not belong together.
    """
    tensors = _read(directory)
    portrait = load_avatar(directory / _PORTRAIT, ENGINE)
    if tensors:
        portrait.correction = offsets_of(tensors)
        if not fits(portrait.correction.index, len(portrait.splats)):
            raise InputError(f"the avatar in {directory} is damaged (moves unknown splats)", MEND)
    return portrait


def check_decoded(directory: Path) -> None:
    """Reject what :func:`load_decoded` would reject, without making the avatar.

    Raises:
        InputError: as for :func:`load_decoded`.
    """
    _read(directory)
    check_avatar(directory / _PORTRAIT, ENGINE)


def _read(directory: Path) -> Tensors:
    tensors, header = _FILE.read(directory / _TENSORS)
    whole = set(OFFSET_RULES) if header.get("decoded") else set()
    if (
        header.get("engine") != ENGINE
        or set(tensors) != whole
        or (tensors and not fits(tensors["offsets.index"]))
    ):
        raise InputError(f"the avatar in {directory} is damaged", MEND)
    return tensors


_FILE = TensorSchema(
    title="avatar",
    version=SCHEMA,
    mend=MEND,
    rules={name: replace(rule, optional=True) for name, rule in OFFSET_RULES.items()},
)
