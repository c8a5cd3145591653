"""Contact sheets of every ARKit shape at weight 1 on portrait avatars.

    python benchmarks/expression_sheet.py assets/portrait.png -o /tmp/sheets --size 512

One sheet per picture with the face for each shape, or its enlarged lower half with ``--lower``.
``mouthClose`` is shown at jawOpen 1, as ARKit defines it. Combinations
follow at the end.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from talkcli import runtime

runtime.configure()

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from benchmarks.studio import Studio, loaded_avatar  # noqa: E402
from talkcli.config import PortraitConfig  # noqa: E402
from talkcli.media.image import read_image  # noqa: E402
from talkcli.tracking.landmarks import detect_faces  # noqa: E402
from talkcli.types import ARKIT_NAMES, MotionFrame  # noqa: E402

#: Shapes that show only together with another one; and combinations of shapes.
COMPANIONS: dict[str, dict[str, float]] = {"mouthClose": {"jawOpen": 1.0}}
MIXTURES: dict[str, dict[str, float]] = {
    "jawOpen .25": {"jawOpen": 0.25},
    "jawOpen .5": {"jawOpen": 0.5},
    "blink both": {"eyeBlinkLeft": 1, "eyeBlinkRight": 1},
    "smile both": {"mouthSmileLeft": 1, "mouthSmileRight": 1},
    "ee": {"jawOpen": 0.1, "mouthStretchLeft": 0.8, "mouthStretchRight": 0.8,
           "mouthUpperUpLeft": 0.6, "mouthUpperUpRight": 0.6, "mouthLowerDownLeft": 0.5,
           "mouthLowerDownRight": 0.5},
    "oo": {"jawOpen": 0.25, "mouthPucker": 0.9},
    "snarl": {"noseSneerLeft": 1, "noseSneerRight": 1, "browDownLeft": 1, "browDownRight": 1},
}  # fmt: skip
_COLUMNS = 10
_LABEL_PX = 18


def cells() -> dict[str, dict[str, float]]:
    """Label and weights of every cell of a sheet, the neutral face first."""
    sheet: dict[str, dict[str, float]] = {"neutral": {}}
    for name in ARKIT_NAMES:
        if name != "tongueOut":  # no tongue leaves this mouth
            sheet[name] = {name: 1.0, **COMPANIONS.get(name, {})}
    return sheet | MIXTURES


def weights_of(names: dict[str, float]) -> MotionFrame:
    """A still head with these weights."""
    frame = MotionFrame.neutral()
    for name, weight in names.items():
        frame.expression[ARKIT_NAMES.index(name)] = weight
    return frame


def contact_sheet(studio: Studio, width: int, lower: bool, yaw: float | None) -> np.ndarray:
    """``[H, W, 3]`` uint8 BGR, ``width`` pixels a cell."""
    side = studio.side
    # The crop is 2.75 face heights wide; the face lies in its middle.
    top, bottom = (0.42, 0.78) if lower else (0.24, 0.76)
    half = (bottom - top) / 2
    rows, columns = slice(int(top * side), int(bottom * side)), slice(
        int((0.5 - half) * side), int((0.5 + half) * side)
    )  # fmt: skip
    pictures = []
    for label, names in cells().items():
        rgb, _ = studio.picture(weights_of(names), yaw)
        face = cv2.resize(rgb[rows, columns], (width, width), interpolation=cv2.INTER_AREA)
        cell = np.full((width + _LABEL_PX, width, 3), 255, np.uint8)
        cell[_LABEL_PX:] = np.round(255 * face[..., ::-1])
        place = (2, _LABEL_PX - 5)
        cv2.putText(cell, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
        pictures.append(cell)
    while len(pictures) % _COLUMNS:
        pictures.append(np.full_like(pictures[0], 255))
    lines = [np.hstack(pictures[k : k + _COLUMNS]) for k in range(0, len(pictures), _COLUMNS)]
    return np.vstack(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--size", type=int, default=512, help="longest side of the picture, pixels")
    parser.add_argument("--cell", type=int, default=256, help="width of a cell, pixels")
    parser.add_argument("--lower", action="store_true", help="the lower half of the face only")
    parser.add_argument("--yaw", type=float, help="head yaw, degrees")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for path in args.pictures:
        picture = read_image(path)
        face = detect_faces(np.ascontiguousarray(picture[..., :3]))[0]
        avatar = loaded_avatar(picture, face, PortraitConfig(), args.size)
        sheet = contact_sheet(Studio(avatar), args.cell, args.lower, args.yaw)
        cv2.imwrite(
            str(args.output / f"expressions_{path.stem}.jpg"), sheet, [cv2.IMWRITE_JPEG_QUALITY, 85]
        )


if __name__ == "__main__":
    main()
