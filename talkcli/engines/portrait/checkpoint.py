"""The portrait avatar on disk: ``avatar.safetensors`` and ``avatar.json`` with a schema version.

Arrays are stored as small as they can be without showing: half floats for everything but
positions, whose rounding would be seen as noise on smooth skin.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from talkcli.engines.portrait.mouth_light import ContactShade, find_contact_shade
from talkcli.engines.portrait.splats import RestSplats
from talkcli.errors import InputError

if TYPE_CHECKING:
    from talkcli.engines.portrait.avatar import PortraitAvatar

#: 2: the lips' contact shade is stored. In 1 it was lost with the splats' pixels, see `_migrate_1`.
SCHEMA = 2
ENGINE = "portrait"
_TENSORS, _DESCRIPTION = "avatar.safetensors", "avatar.json"
_STORED = {
    "positions": np.float32,
    "vertices": np.int16,
    "neighbours": np.int32,
    "layers": np.uint8,
}
_OWN = ("vertices", "neutral_shift", "basis", "eye_centres", "rotation", "viewmat", "K")


def save_avatar(avatar: PortraitAvatar, directory: Path) -> None:
    """Write an avatar into an existing directory.

    Args:
        avatar: what to write.
        directory: receives both files; atomicity is the caller's business.
    """
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
    tensors["plate"] = np.clip(np.round(avatar.plate * 255), 0, 255).astype(np.uint8)
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, directory / _TENSORS)
    # safetensors makes private files; a project directory is shared like any other.
    (directory / _TENSORS).chmod(0o644)
    description = {
        "schema": SCHEMA,
        "engine": ENGINE,
        "dynamic": avatar.dynamic,
        "frame": asdict(avatar.frame),
        "splats": len(avatar.splats),
    }
    (directory / _DESCRIPTION).write_text(json.dumps(description, indent=1), encoding="utf-8")


def load_avatar(directory: Path) -> PortraitAvatar:
    """Read an avatar.

    Raises:
        InputError: files are missing, damaged, or of a newer schema or another engine.
    """
    from talkcli.engines.portrait.avatar import PictureFrame, PortraitAvatar

    mend = "build it again with: talkcli reconstruct PORTRAIT"
    try:
        description = json.loads((directory / _DESCRIPTION).read_text(encoding="utf-8"))
        tensors = load_file(directory / _TENSORS)
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"the avatar in {directory} cannot be read ({error})", mend) from error
    schema = description.get("schema")
    if description.get("engine") != ENGINE or schema not in (*_MIGRATIONS, SCHEMA):
        found = f"{description.get('engine')} schema {schema}"
        raise InputError(
            f"the avatar in {directory} is {found}, this version reads {ENGINE} schema {SCHEMA}",
            "update talkcli, or " + mend,
        )
    try:
        for migrate in list(_MIGRATIONS.values())[schema - 1 :]:
            migrate(tensors)
        own: dict[str, Any] = {name: tensors[name] for name in _OWN}
        return PortraitAvatar(
            splats=_splats(tensors),
            dynamic=description["dynamic"],
            **own,
            frame=PictureFrame(**description["frame"]),
            source=tensors["source"],
            plate=tensors["plate"].astype(np.float32) / 255,
            torso=tensors.get("torso"),
            contact=ContactShade(
                tensors["contact.index"], tensors["contact.shade"].astype(np.float32)
            ),
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"the avatar in {directory} lacks {error}", mend) from error


def _splats(tensors: dict[str, np.ndarray]) -> RestSplats:
    arrays: dict[str, Any] = {}
    for item in fields(RestSplats):
        integer = np.issubdtype(_STORED.get(item.name, np.float16), np.integer)
        array = tensors[f"splats.{item.name}"]
        arrays[item.name] = array.astype(np.int32 if integer else np.float32)
    return RestSplats(**arrays)


def _migrate_1(tensors: dict[str, np.ndarray]) -> None:
    """Schema 1 to 2: a tensor's new name, and the shade of the lips from the stored splats."""
    tensors["splats.source_cosine"] = tensors.pop("splats.seen_cosine")
    contact = find_contact_shade(_splats(tensors), tensors["viewmat"], tensors["K"])
    tensors["contact.index"], tensors["contact.shade"] = contact.index, contact.shade


#: What brings a file of each older schema to the next one.
_MIGRATIONS = {1: _migrate_1}
