"""The portrait avatar on disk: ``avatar.safetensors``, with a schema version in its header.

Arrays are stored as small as they can be without visible loss: as half floats, except for the
positions, whose rounding would show as noise on smooth skin.
"""

from __future__ import annotations

import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from talkcli.avatar import PictureFrame, TrustedRange
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.mouth_light import ContactShade, find_contact_shade
from talkcli.engines.portrait.splats import Layer, RestSplats
from talkcli.errors import InputError
from talkcli.files.tensors import Header, Rule, Tensors, TensorSchema
from talkcli.project.trusted import load_trusted, save_trusted

#: 2: the lips' contact shade is stored. In 1 it was lost with the splats' pixels, see `_migrate_1`.
#: 3: the header is in the same file as the arrays, not in ``avatar.json``.
SCHEMA = 3
ENGINE = "portrait"
MEND = "build it again with: talkcli reconstruct PORTRAIT"
_TENSORS, _OLD_HEADER = "avatar.safetensors", "avatar.json"
_STORED = {
    "positions": np.float32,
    "vertices": np.int16,
    "neighbours": np.int32,
    "layers": np.uint8,
}
#: What :func:`check_avatar` has read last, for :func:`load_avatar`, which usually follows.
_checked: dict[tuple[object, ...], tuple[Tensors, Header, PictureFrame]] = {}
_OWN = ("vertices", "neutral_shift", "basis", "eye_centres", "rotation", "viewmat", "K")
#: Upper bound for lengths, centimetres: a head is 25 cm high and its camera a metre or two away.
_FAR = 1e4
#: Largest side and corner coordinate that a picture or crop can plausibly have, pixels.
_MAX_SIDE = 1 << 15
#: Largest side of the crop, in longer sides of the picture: 3.6 where a face overfills it.
_WIDEST_CROP = 8


def save_avatar(avatar: PortraitAvatar, directory: Path) -> None:
    """Write an avatar into a directory that nothing reads yet, such as that of a new stage.

    Args:
        avatar: what to write.
        directory: receives the file.

    Raises:
        OSError: the disk is full.
    """
    _FILE.save(directory / _TENSORS, _tensors(avatar), _header(avatar))
    if avatar.trusted is not None:
        save_trusted(directory, avatar.trusted)


def as_stored(avatar: PortraitAvatar) -> PortraitAvatar:
    """The avatar as it would be after saving and loading: rounded as in the file."""
    tensors = _tensors(avatar)
    widened = {
        name: array.astype(np.float32) if array.dtype == np.float16 else array
        for name, array in tensors.items()
    }
    return _avatar(widened, _header(avatar), avatar.frame, avatar.trusted)


def _tensors(avatar: PortraitAvatar) -> Tensors:
    tensors: dict[str, np.ndarray] = {}
    for item in fields(RestSplats):
        array = getattr(avatar.splats, item.name)
        tensors[f"splats.{item.name}"] = array.astype(_STORED.get(item.name, np.float16))
    for name in _OWN:
        tensors[name] = np.asarray(getattr(avatar, name), np.float32)
    tensors["contact.index"] = avatar.contact.index.astype(np.int32)
    tensors["contact.shade"] = avatar.contact.shade.astype(np.float16)
    tensors["source"] = avatar.source
    if avatar.torso is not None:
        tensors["torso"] = avatar.torso
    if avatar.behind is not None:
        tensors["behind"] = avatar.behind
    if avatar.seen is not None:
        tensors["seen"] = avatar.seen.astype(np.uint8)
    tensors["plate"] = np.clip(np.round(avatar.plate * 255), 0, 255).astype(np.uint8)
    return tensors


def _header(avatar: PortraitAvatar) -> Header:
    return {"engine": avatar.engine, "dynamic": avatar.dynamic, "frame": asdict(avatar.frame)}


def load_avatar(directory: Path, engine: str = ENGINE) -> PortraitAvatar:
    """Read an avatar.

    Args:
        directory: that it was saved in.
        engine: which must have made it.

    Raises:
        InputError: files are missing, damaged, of a newer schema or another engine, or hold
            values that no avatar can have.
    """
    checked = _checked.pop(_state(directory, engine), None)
    return _avatar(*(checked or _read(directory, engine)), load_trusted(directory))


def _avatar(
    tensors: Tensors, header: Header, frame: PictureFrame, trusted: TrustedRange | None
) -> PortraitAvatar:
    own: dict[str, Any] = {name: tensors[name] for name in _OWN}
    seen = tensors.get("seen")
    return PortraitAvatar(
        splats=_splats(tensors),
        dynamic=header["dynamic"],
        **own,
        frame=frame,
        source=tensors["source"],
        plate=tensors["plate"].astype(np.float32) / 255,
        torso=tensors.get("torso"),
        behind=tensors.get("behind"),
        contact=ContactShade(tensors["contact.index"], tensors["contact.shade"]),
        seen=None if seen is None else seen.astype(bool),
        engine=header["engine"],
        trusted=trusted,
    )


def check_avatar(directory: Path, engine: str = ENGINE) -> None:
    """Reject what :func:`load_avatar` would reject, without making the avatar.

    Args:
        directory: as there, and so is ``engine``.
        engine: see above.

    Raises:
        InputError: as for :func:`load_avatar`.
    """
    contents = _read(directory, engine)
    _checked.clear()
    _checked[_state(directory, engine)] = contents


def _state(directory: Path, engine: str) -> tuple[object, ...]:
    """What tells one state of the files of an engine's avatar from another."""
    try:
        found = os.stat(directory / _TENSORS)
    except OSError:  # which reading it explains
        return (directory, engine)
    return directory, engine, found.st_ino, found.st_size, found.st_mtime_ns


def _read(directory: Path, engine: str) -> tuple[Tensors, Header, PictureFrame]:
    tensors, header = _FILE.read(directory / _TENSORS, directory / _OLD_HEADER)
    if header.get("engine") != engine:
        raise InputError(
            f"the avatar in {directory} is of the engine {header.get('engine')}, not {engine}", MEND
        )
    try:
        frame = PictureFrame(**header["frame"])
        _check_header(header, tensors, frame)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the avatar in {directory} is damaged ({error})", MEND) from error
    return tensors, header, frame


def _check_header(header: Header, tensors: Tensors, frame: PictureFrame) -> None:
    """Reject header values that do not fit the arrays.

    Raises:
        ValueError: a value does not fit; the message says which.
    """
    dynamic = header["dynamic"]
    if type(dynamic) is not int or not 0 <= dynamic <= len(tensors["splats.positions"]):
        raise ValueError(f"dynamic is {dynamic!r}")
    for name, number in asdict(frame).items():
        if type(number) not in (int, float) or not abs(number) <= _MAX_SIDE:
            raise ValueError(f"{name} is {number!r}")
    if 0 in (len(tensors["splats.positions"]), len(tensors["plate"]), *tensors["source"].shape):
        raise ValueError("it is empty")
    height, width = tensors["source"].shape[:2]
    side = len(tensors["plate"])
    if (frame.width, frame.height, frame.crop_pixels) != (width, height, side):
        raise ValueError(f"the frame is not that of {width}x{height} and {side} pixels")
    if frame.crop_side > _WIDEST_CROP * max(width, height):
        raise ValueError(f"a crop of {frame.crop_side} pixels around a picture of {width}x{height}")
    if frame.crop_side <= 0 or tensors["K"][[0, 1], [0, 1]].min() <= 0:
        raise ValueError("the crop or the camera has no size")
    for name in ("rotation", "viewmat"):
        turn = tensors[name][:3, :3]
        # Rounding to single precision causes errors of 1e-6.
        if np.abs(turn @ turn.T - np.eye(3)).max() > 1e-3:
            raise ValueError(f"{name} is no rotation")


def _splats(tensors: Tensors) -> RestSplats:
    arrays: dict[str, Any] = {}
    for item in fields(RestSplats):
        array = tensors[f"splats.{item.name}"]
        arrays[item.name] = array if array.dtype.kind == "f" else array.astype(np.int32)
    return RestSplats(**arrays)


def _migrate_1(tensors: Tensors, header: Header) -> None:
    """Schema 1 to 2: find the lips' contact shade from the stored splats."""
    _rename(tensors)
    contact = find_contact_shade(_splats(tensors), tensors["viewmat"], tensors["K"])
    tensors["contact.index"], tensors["contact.shade"] = contact.index, contact.shade


def _migrate_2(tensors: Tensors, header: Header) -> None:
    """Schema 2 to 3: rename a tensor; the header no longer holds the number of splats."""
    _rename(tensors)
    header.pop("splats", None)


def _rename(tensors: Tensors) -> None:
    if "splats.seen_cosine" in tensors:
        tensors["splats.source_cosine"] = tensors.pop("splats.seen_cosine")


#: The bounds are beyond anything that faces, colours and cameras can reach; ``RestSplats`` and
#: ``PortraitAvatar`` describe the arrays. Compiled code uses the indices without checking them.
_FILE = TensorSchema(
    title="avatar",
    version=SCHEMA,
    mend=MEND,
    rules={
        "splats.positions": Rule("N 3", low=-_FAR, high=_FAR),
        "splats.tangent_u": Rule("N 3", low=-_FAR, high=_FAR),
        "splats.tangent_v": Rule("N 3", low=-_FAR, high=_FAR),
        "splats.colors": Rule("N 3", low=-4, high=5),
        "splats.opacities": Rule("N", low=0, high=1),
        "splats.spread": Rule("N", low=0, high=_FAR),
        "splats.vertices": Rule("N 4", "i", low=0, high=477),
        "splats.weights": Rule("N 4", low=-100, high=100),
        "splats.head_weight": Rule("N", low=-1, high=2),
        "splats.weight_slope": Rule("N 2", low=-_FAR, high=_FAR),
        "splats.jaw_weight": Rule("N", low=-1, high=2),
        "splats.neighbours": Rule("N 4", "i", low=0, high="N"),
        "splats.normals": Rule("N 3", low=-1.01, high=1.01),
        "splats.source_cosine": Rule("N", low=-1.01, high=1.01),
        "splats.layers": Rule("N", "u", low=0, high=max(Layer)),
        "vertices": Rule("478 3", low=-_FAR, high=_FAR),
        "neutral_shift": Rule("478 3", low=-_FAR, high=_FAR),
        "basis": Rule("52 478 3", low=-_FAR, high=_FAR),
        "eye_centres": Rule("2 3", low=-_FAR, high=_FAR),
        "rotation": Rule("3 3", low=-1.01, high=1.01),
        "viewmat": Rule("4 4", low=-_FAR, high=_FAR),
        "K": Rule("3 3", low=-1e6, high=1e6),
        "source": Rule("H W 4", "u"),
        "plate": Rule("S S 3", "u"),
        "torso": Rule("H W", "u", optional=True),
        "behind": Rule("H W 4", "u", optional=True),
        "seen": Rule("N", "u", low=0, high=1, optional=True),
        "contact.index": Rule("L", "i", low=0, high="N"),
        "contact.shade": Rule("L 3", low=-4, high=5),
    },
    migrations={1: _migrate_1, 2: _migrate_2},
)
