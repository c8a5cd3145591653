"""Runs the command line as if only ``requirements-smallest.txt`` were installed.

``python -m tests.support.smallest COMMAND …``: what belongs to other distributions cannot be
imported.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from importlib.abc import MetaPathFinder
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LIST = ROOT / "requirements-smallest.txt"
#: These two write the same folder, and mediapipe asks for the other one's name.
TWINS = {"opencv-contrib-python": "opencv-contrib-python-headless"}


def listed() -> set[str]:
    """Normalised names of the distributions in the list."""
    lines = (line.strip() for line in LIST.read_text(encoding="utf-8").splitlines())
    words = [re.match(r"[\w.-]+", line) for line in lines if line and not line.startswith("#")]
    return {normal(word[0]) for word in words if word is not None}


def normal(name: str) -> str:
    name = re.sub(r"[-_.]+", "-", name).lower()
    return TWINS.get(name, name)


class OnlyListed(MetaPathFinder):
    """Hides the modules of all distributions that are not in the list."""

    def __init__(self, owners: Mapping[str, list[str]], allowed: set[str]) -> None:
        self._hidden = {
            module for module, names in owners.items() if not allowed & set(map(normal, names))
        }

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        top = name.partition(".")[0]
        if top in self._hidden:
            raise ModuleNotFoundError(f"{top} is not in {LIST.name}", name=top)


def main() -> int:
    owners = packages_distributions()
    sys.meta_path.insert(0, OnlyListed(owners, listed() | {"talkcli"}))
    from talkcli.cli.app import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
