"""A fitted avatar on disk: the portrait's files, and ``subject.safetensors`` beside them."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from talkcli.engines.audio_plane.avatar import SubjectAvatar
from talkcli.engines.audio_plane.driver import DriverBasis
from talkcli.engines.audio_plane.interpolate import (
    CHANNELS,
    JOINS,
    LINE_CELLS,
    PAIRS,
    PLANE_CELLS,
    TABLES,
)
from talkcli.engines.audio_plane.interpolate import FEATURES as PLANE_FEATURES
from talkcli.engines.audio_plane.offsets import FEATURES
from talkcli.engines.audio_plane.played import OffsetsAndPlanes, PlaneTables, PlayedPlanes
from talkcli.engines.audio_plane.stored_offsets import (
    OFFSET_RULES,
    fits,
    offset_tensors,
    offsets_of,
)
from talkcli.engines.audio_plane.voices import packed, unpacked
from talkcli.engines.portrait.checkpoint import check_avatar, load_avatar, save_avatar
from talkcli.errors import InputError
from talkcli.files.tensors import Header, Rule, Tensors, TensorSchema
from talkcli.project.trusted import save_trusted
from talkcli.types import MotionCurves

SCHEMA = 1
MEND = "fit it again with: talkcli fit -p PROJECT"
_TENSORS, _PORTRAIT = "subject.safetensors", "portrait"
_CURVES = ("times", "expression", "rotation", "translation", "gaze")
_FAR = 1e4
_LONGEST_S = 86_400.0


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
    save_trusted(directory, avatar.trusted)
    offsets = avatar.offsets
    tensors: Tensors = {
        **offset_tensors(offsets),
        **{f"clip.{name}": np.asarray(getattr(avatar.clip, name), np.float32) for name in _CURVES},
        "clip.tracked": avatar.clip.tracked.astype(np.uint8),
        **packed(avatar.voices),
    }
    header: Header = {
        "duration_s": avatar.clip.duration_s,
        "source": avatar.source,
        "held_out": avatar.held_out,
    }
    if (planes := avatar.planes) is not None:
        tensors.update(_plane_tensors(planes))
        header["planes"] = {"speech": planes.driver.speech, "join": planes.join}
    _FILE.save(directory / _TENSORS, tensors, header)


def load_subject(directory: Path) -> SubjectAvatar:
    """Read an avatar.

    Raises:
        InputError: files are missing, damaged, of a newer schema, or do not belong together.
    """
    tensors, header = _read(directory)
    portrait = load_avatar(directory / _PORTRAIT)
    planes = _planes(tensors, header)
    offsets = offsets_of(tensors)
    for moved in (offsets.index, offsets.index[:0] if planes is None else planes.index):
        if not fits(moved, len(portrait.splats)):
            raise InputError(f"the avatar in {directory} is damaged (moves unknown splats)", MEND)
    portrait.correction = offsets if planes is None else OffsetsAndPlanes(offsets, planes)
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
        not fits(index)
        or np.any(np.diff(times) <= 0)
        or not all(type(number) is int and 0 <= number <= len(times) for number in numbers)
        or header["source"] >= len(times)
        or type(header.get("duration_s")) not in (int, float)
        or not times[-1] <= header["duration_s"] <= _LONGEST_S
        or not _whole_planes(tensors, header)
    ):
        raise InputError(f"the avatar in {directory} is damaged", MEND)
    return tensors, header


def _plane_tensors(planes: PlayedPlanes) -> Tensors:
    tables = {name: value for name, value in vars(planes.tables).items() if value is not None}
    for name in _HALVES:
        if name in tables:
            tables[name] = tables[name].astype(np.float16)
    return {
        "planes.index": planes.index.astype(np.int32),
        "planes.places": planes.places,
        "planes.fade": planes.fade,
        "planes.mean": planes.driver.mean,
        "planes.basis": planes.driver.basis,
        **{f"planes.{name}": value for name, value in tables.items()},
    }


def _planes(tensors: Tensors, header: Header) -> PlayedPlanes | None:
    form = header.get("planes")
    if form is None:
        return None
    own = {name.partition(".")[2]: a for name, a in tensors.items() if name.startswith("planes.")}
    tables = PlaneTables(**{f.name: own[f.name] for f in fields(PlaneTables) if f.name in own})
    driver = DriverBasis(own["mean"], own["basis"], form["speech"])
    return PlayedPlanes(own["index"], own["places"], own["fade"], driver, tables, form["join"])


def _whole_planes(tensors: Tensors, header: Header) -> bool:
    """Whether either nothing or everything of a field is there."""
    own = {name for name in tensors if name.startswith("planes.")}
    form = header.get("planes")
    if not isinstance(form, dict):
        return form is None and not own
    dynamic = {name for name in _PLANE_RULES if "dynamic" in name}
    needed = set(_PLANE_RULES) - dynamic - {"planes.books"}
    if not needed <= own or own & dynamic not in (set(), dynamic):
        return False
    index, weight = tensors["planes.index"], tensors["planes.deform_in"]
    joined = PLANE_FEATURES if form.get("join") == "concatenate" else PLANE_FEATURES // PAIRS
    return bool(
        form.get("join") in JOINS
        and type(form.get("speech")) is bool
        and weight.shape[1] == joined
        and (form["speech"] or len(tensors["planes.mean"]) == FEATURES)
        and np.all(np.diff(index) > 0)
    )


def _learnt(shape: str) -> Rule:
    return Rule(shape, low=-_FAR, high=_FAR, optional=True)


#: Tables that are stored in half precision.
_HALVES = ("planes", "lines", "books")
_PLANE_RULES = {
    "planes.index": Rule("m", "i", low=0, optional=True),
    "planes.places": Rule("m 3", low=0, high=1, optional=True),
    "planes.fade": Rule("m", low=0, high=1, optional=True),
    "planes.mean": _learnt("F"),
    "planes.basis": _learnt("D F"),
    "planes.planes": _learnt(f"{PAIRS} {PLANE_CELLS} {CHANNELS}"),
    "planes.lines": _learnt(f"{PAIRS} {LINE_CELLS} {CHANNELS}"),
    "planes.books": _learnt(f"{TABLES} E {CHANNELS}"),
    "planes.hidden_weight": _learnt("Q D"),
    "planes.hidden_bias": _learnt("Q"),
    "planes.query_weight": _learnt(f"{PLANE_FEATURES} Q"),
    "planes.query_bias": _learnt(f"{PLANE_FEATURES}"),
    "planes.deform_in": _learnt("W J"),
    "planes.deform_in_bias": _learnt("W"),
    "planes.deform_out": _learnt("7 W"),
    "planes.deform_out_bias": _learnt("7"),
    "planes.dynamic_in": _learnt("V J"),
    "planes.dynamic_in_bias": _learnt("V"),
    "planes.dynamic_out": _learnt("1 V"),
    "planes.dynamic_out_bias": _learnt("1"),
}
_FILE = TensorSchema(
    title="fitted avatar",
    version=SCHEMA,
    mend=MEND,
    rules={
        **OFFSET_RULES,
        "clip.times": Rule("n", low=0),
        "clip.expression": Rule("n 52", low=-_FAR, high=_FAR),
        "clip.rotation": Rule("n 3", low=-_FAR, high=_FAR),
        "clip.translation": Rule("n 3", low=-_FAR, high=_FAR),
        "clip.gaze": Rule("n 2", low=-_FAR, high=_FAR),
        "clip.tracked": Rule("n", "u", low=0, high=1),
        **_PLANE_RULES,
    },
)
