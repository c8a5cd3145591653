"""A portrait says what a recording says.

Usage: python examples/hello.py portrait.png speech.wav
"""

from __future__ import annotations

import sys

import talkcli


def main(portrait: str, speech: str) -> None:
    result = talkcli.animate(portrait, speech, output="hello.mp4", size=256, seed=1)
    facts = result.as_json()
    print(f"{result.outputs[0]}: {facts['frames']} frames in {facts['total_seconds']} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
