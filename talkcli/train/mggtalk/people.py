"""Which clips of a data folder are used, whose they are, and whether they are held out.

A data folder holds ``manifest.json``, a list of objects with ``file`` (path inside the folder) and,
where known, ``identity``; and ``speech_clips.json``, whose objects name the ``speaker`` and the
``licence`` of a file.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkcli.errors import InputError
from talkcli.train.clips import FREE_LICENCES
from talkcli.train.sources import held_out

#: Evaluation only: several cameras film one person.
_NEVER = "multiview"


@dataclass(frozen=True)
class FilmedPerson:
    """A clip that a training may use.

    Attributes:
        path: the file.
        person: clips of one person share it.
        free: whether the licence allows free use with attribution; the others are for research.
        held_out: whether no training may see the person.
    """

    path: Path
    person: str
    free: bool
    held_out: bool = False

    @property
    def name(self) -> str:
        """Name of the clip's folder among the prepared ones."""
        return self.path.stem


def filmed_people(data: Path, most: int) -> list[FilmedPerson]:
    """The clips of a data folder, one of every person before the second of anyone.

    Args:
        data: the folder.
        most: largest number of clips per person.

    Raises:
        InputError: the folder has no lists of clips.
    """
    spoken = {entry["file"]: entry for entry in _listed(data / "speech_clips.json")}
    nobody = held_out()
    found: dict[str, list[FilmedPerson]] = defaultdict(list)
    for entry in sorted(_listed(data / "manifest.json"), key=lambda entry: str(entry["file"])):
        name = entry["file"]
        known = spoken.get(name)
        if known is None or name.startswith(_NEVER):
            continue
        free = str(known["licence"]).startswith(FREE_LICENCES)
        held = not nobody.isdisjoint({known["speaker"], entry.get("identity")})
        clip = FilmedPerson(data / name, known["speaker"], free, held)
        found[known["speaker"]].append(clip)
    rounds = [(_spread(clips, most), person) for person, clips in sorted(found.items()) if clips]
    return [clips[k] for k in range(most) for clips, _ in rounds if k < len(clips)]


def _spread(clips: list[FilmedPerson], most: int) -> list[FilmedPerson]:
    """At most so many of a person's clips, spread over the list."""
    count = min(most, len(clips))
    return [clips[round(k * (len(clips) - 1) / max(count - 1, 1))] for k in range(count)]


def _listed(path: Path) -> list[dict[str, Any]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is no list of clips ({error})", "name a data folder that holds one"
        ) from error
    return list(found)
