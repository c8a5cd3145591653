"""A smiling head from five sides.

Usage: python examples/views_to_pngs.py portrait.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import talkcli


def main(portrait: str) -> None:
    avatar = talkcli.reconstruct(portrait, run=talkcli.RunOptions(project=Path("views.talk")))
    smile = ("mouthSmileLeft=0.7", "mouthSmileRight=0.7", "eyeSquintLeft=0.3", "eyeSquintRight=0.3")
    result = talkcli.draw(
        avatar, smile, output="view.png", views=(-30, -15, 0, 15, 30), layout="files"
    )
    print(*result.outputs, sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
