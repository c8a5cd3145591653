"""``talkcli train prepare``: from folders of pictures to packs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talkcli.errors import InputError
from talkcli.media.image import read_image
from talkcli.progress import Task
from talkcli.train.distillation import KIND, MAP_PX, PICTURE_PX, teach
from talkcli.train.packs import PackWriter, Record
from talkcli.train.sources import PICTURES, DataFile, find_files


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
    """The pictures that a pack is made from, held-out people first.

    Args:
        data: folder, see :func:`talkcli.train.sources.find_files`.
        kinds: its subfolders.
        limit: at most so many.
    """
    found = [file for file in find_files(data, kinds) if Path(file.file).suffix in PICTURES]
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
        facts, arrays = teach(read_image(data / file.file), np.random.default_rng(seed))
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
