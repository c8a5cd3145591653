"""A stage to run in projects, and what it writes."""

from __future__ import annotations

from pathlib import Path

from talkcli.project import Stage

STAGE = Stage("avatar", 3, {"views": [1, 2.5], "name": "é"}, {"portrait": "ab" * 32})


class Writer:
    """A stage function that counts its runs."""

    def __init__(self, text: str = "content") -> None:
        self.text = text
        self.runs = 0

    def __call__(self, directory: Path) -> None:
        self.runs += 1
        (directory / "deep").mkdir()
        (directory / "deep" / "out.txt").write_text(self.text)
