"""Frames in a loop of your own.

Usage: python examples/frames_to_numpy.py portrait.png speech.wav

Prints, for every second, how much of the picture moves. Instead of measuring a frame you could show
it in a window, stream it, or feed it to another model.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import talkcli

FPS = 10


def main(portrait: str, speech: str) -> None:
    avatar = talkcli.reconstruct(portrait, run=talkcli.RunOptions(project=Path("frames.talk")))
    motion = talkcli.speak(speech, seed=1)
    before = None
    moved: list[float] = []
    for number, rgb in enumerate(talkcli.frames(avatar, motion, fps=FPS, size=256), start=1):
        levels = rgb.astype(np.int16)  # [H, W, 3]: uint8 would wrap around in the difference
        if before is not None:
            moved.append(float((abs(levels - before).max(axis=2) > 4).mean()))
        before = levels
        if number % FPS == 0:
            print(f"second {number // FPS}: {np.mean(moved):.1%} of the pixels change per frame")
            moved.clear()


if __name__ == "__main__":
    main(*sys.argv[1:])
