"""Recreate ``assets/portrait.png`` and ``assets/speech.wav``: ``python scripts/make_sample.py``.

The picture is NASA's portrait of Eileen Collins (public domain), which comes with scikit-image,
cropped to head and shoulders and enlarged because its face is only 109 pixels high. The sentence is
spoken by espeak-ng, which must be on the PATH (Debian: ``apt-get install espeak-ng``).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from skimage.data import astronaut

ASSETS = Path(__file__).resolve().parents[1] / "assets"

#: Left, top, right, bottom in the 512×512 picture: hair, both shoulders and some background.
CROP = (64, 0, 384, 320)
#: Side of the result. The face becomes 175 pixels high; below 128, talkcli warns.
SIDE_PX = 512

#: The lips close often (p, b, m), vowels open wide, and punctuation makes pauses.
SENTENCE = (
    "Hello! My name is Pebble, and I am a picture. "
    "Maybe a photo cannot move. But please, watch my lips!"
)
VOICE = ("-v", "en-us+f3", "-s", "160", "-p", "45", "-a", "90")


def main() -> int:
    if shutil.which("espeak-ng") is None:
        print("espeak-ng is not installed; on Debian: apt-get install espeak-ng", file=sys.stderr)
        return 4
    ASSETS.mkdir(exist_ok=True)
    picture = Image.fromarray(astronaut()).crop(CROP)
    picture = picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    picture.save(ASSETS / "portrait.png", optimize=True)
    subprocess.run(["espeak-ng", *VOICE, "-w", ASSETS / "speech.wav", SENTENCE], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
