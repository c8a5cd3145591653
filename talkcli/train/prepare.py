"""``talkcli train prepare``: from folders of pictures to packs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talkcli.errors import InputError
from talkcli.media.image import read_image
from talkcli.media.read import read_frames
from talkcli.progress import Task
from talkcli.shapes import UInt8
from talkcli.train.distillation import KIND, MAP_PX, PICTURE_PX, teach
from talkcli.train.packs import PackWriter, Record
from talkcli.train.sources import CLIPS, PICTURES, DataFile, find_files

#: The frame of a clip that is taken: many begin with a fade.
_AT_S = 0.4


@dataclass(frozen=True)
class Prepared:
    """What a pack has come to.

    Attributes:
        used: sources with a record, of this run.
        skipped: sources without one, of this run.
        left: sources that the run did not come to.
    """

    used: int
    skipped: int
    left: int


def plan_pack(data: Path, kinds: Sequence[str], limit: int | None = None) -> list[DataFile]:
    """The pictures and clips that a pack is made from, held-out people first.

    Args:
        data: folder, see :func:`talkcli.train.sources.find_files`.
        kinds: its subfolders.
        limit: at most so many.
    """
    usable = PICTURES + CLIPS
    found = [f for f in find_files(data, kinds) if Path(f.file).suffix.lower() in usable]
    if not found:
        raise InputError(f"{data} holds no pictures to train on", "name another folder with --data")
    return found[:limit]


def make_pack(data: Path, files: Sequence[DataFile], output: Path, task: Task) -> Prepared:
    """Make a pack of avatars' maps, or go on with one.

    Views are drawn by the hash of the file's name, whatever the order.

    Args:
        data: folder of the pictures.
        files: from :func:`plan_pack`.
        output: folder of the pack.
        task: is advanced with every file.

    Raises:
        InputError: the pack is another one, or cannot be written.
    """
    writer = PackWriter(output, KIND, {"picture": PICTURE_PX, "maps": MAP_PX})
    used = skipped = 0
    try:
        for file in files:
            if file.file not in writer.done:
                if _add(data, file, writer):
                    used += 1
                else:
                    skipped += 1
            task.advance()
    finally:
        writer.flush()
    return Prepared(used, skipped, len(files) - sum(f.file in writer.done for f in files))


def _add(data: Path, file: DataFile, writer: PackWriter) -> bool:
    seed = int(hashlib.sha256(file.file.encode()).hexdigest()[:8], 16)
    try:
        facts, arrays = teach(_picture_of(data / file.file), np.random.default_rng(seed))
    except InputError as error:
        writer.skip(file.file, error.what)
        return False
    told = {
        "source": file.file,
        "person": file.person,
        "licence": file.licence,
        "split": file.split,
    }
    writer.add([Record({**told, **facts}, arrays)])
    return True


def _picture_of(path: Path) -> UInt8[np.ndarray, "H W 4"]:
    """A picture, or the frame of a clip at :data:`_AT_S`, or the last one before."""
    if path.suffix.lower() in PICTURES:
        return read_image(path)
    rgb = None
    for frame in read_frames(path):
        rgb = frame.rgb
        if frame.time_s >= _AT_S:
            break
    if rgb is None:
        raise InputError(f"{path} shows nothing", "use another clip")
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
