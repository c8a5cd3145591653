"""ARKit curves of the face in a clip.

Usage: python examples/clip_to_arkit.py clip.mp4

Writes curves.csv, which Live Link Face's readers understand, and prints the liveliest shapes.
"""

from __future__ import annotations

import sys

import talkcli
from talkcli.types import ARKIT_NAMES


def main(clip: str) -> None:
    tracked = talkcli.track(clip, output="curves.csv")
    curves = tracked.curves
    assert curves is not None  # only a dry run has none
    print(f"{len(curves)} frames, {curves.duration_s:.2f} s, in {tracked.result.outputs[0]}")
    lively = curves.expression.std(axis=0)  # [52], one standard deviation per shape
    for shape in lively.argsort()[::-1][:5]:
        print(f"{ARKIT_NAMES[shape]}: {lively[shape]:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
