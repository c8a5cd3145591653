"""Pictures and clips of a data folder: whose they are, their licence, and who is held out."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from talkcli.errors import InputError

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
CLIPS = (".mp4", ".mov", ".mkv", ".webm")
#: Sheet of the synthetic portraits with odd and broken ones.
_ODD = "bad_things"


@dataclass(frozen=True)
class DataFile:
    """One picture or clip.

    Attributes:
        file: path within the data folder, with ``/``.
        person: files of one person share it.
        licence: as the folder states it.
        held: whether the person is on the committed list of people that nothing is trained on.
    """

    file: str
    person: str
    licence: str
    held: bool

    @property
    def split(self) -> str:
        """``held`` or ``train``."""
        return "held" if self.held else "train"


def held_out() -> frozenset[str]:
    """The people that no training of ours has seen."""
    text = files("talkcli.train").joinpath("held_out.txt").read_text(encoding="utf-8")
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return frozenset(line for line in lines if line)


def find_files(data: Path, kinds: Sequence[str]) -> list[DataFile]:
    """Files of a data folder, those of held-out people first, else in a fixed random order.

    ``synthetic/index.csv`` lists portraits of people who do not exist (columns ``file`` and
    ``sheet``), ``manifest.json`` everything else (``file``, ``identity``, ``repo_licence``). A
    folder that has neither is taken as pictures of one person each.

    Args:
        data: the folder.
        kinds: subfolders to take.

    Raises:
        InputError: nothing is found.
    """
    known = list(_listed(data))
    if not known:
        pictures = (p for p in data.rglob("*") if p.suffix.lower() in PICTURES + CLIPS)
        known = [(p.relative_to(data).as_posix(), p.stem, "unknown") for p in pictures]
    else:
        known = [entry for entry in known if entry[0].split("/")[0] in kinds]
    if not known:
        raise InputError(f"{data} holds no pictures to train on", "name another folder with --data")
    held = held_out()
    found = [DataFile(file, who, licence, who in held) for file, who, licence in known]
    return sorted(found, key=lambda f: (not f.held, _digest(f.file)))


def _listed(data: Path) -> Iterator[tuple[str, str, str]]:
    """File, person and licence of everything that the folder's lists name and that is there."""
    index = data / "synthetic" / "index.csv"
    if index.is_file():
        with index.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                if row["sheet"] != _ODD:
                    yield f"synthetic/{row['file']}", f"synthetic {Path(row['file']).stem}", "MIT"
    manifest = data / "manifest.json"
    if manifest.is_file():
        for entry in json.loads(manifest.read_text(encoding="utf-8")):
            if (data / entry["file"]).is_file():
                who = entry.get("identity") or Path(entry["file"]).stem
                yield entry["file"], who, entry.get("repo_licence", "unknown")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
